"""Aggregates of a provider: groups that providers belong to, known by their ids alone."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import Uuid
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest
from pileus.kernel.http.reply import Reply
from pileus.services.placement import policy
from pileus.services.placement.api.asked import read_uuid
from pileus.services.placement.api.common import PROVIDER, answer, check_generation, provider_of
from pileus.services.placement.store import provider as store
from pileus.services.placement.versions import V

routes = Routes()
_PATH = PROVIDER + "/aggregates"


class GuardedAggregates(msgspec.Struct, forbid_unknown_fields=True):
    aggregates: list[Uuid]
    resource_provider_generation: int


class AggregatesAnswer(msgspec.Struct):
    aggregates: list[str]
    resource_provider_generation: int | UnsetType = UNSET


def _shown(call: Call, tx: Tx, provider: Row[Any]) -> Reply:
    generation = provider.generation if call.has(V.AGGREGATE_GENERATION) else UNSET
    shown = AggregatesAnswer(store.aggregates_of(tx, provider.id), generation)
    return answer(call, shown, provider.updated_at)


def _distinct(ids: list[str]) -> list[str]:
    known = sorted({read_uuid("aggregates", each) for each in ids})
    if len(known) != len(ids):
        raise BadRequest("JSON does not validate: aggregates has non-unique elements.")
    return known


@routes.add("GET", _PATH, policy=policy.LIST_AGGREGATES, since=V.AGGREGATES, answers=AggregatesAnswer)
def list_aggregates(call: Call, tx: Tx) -> Reply:
    """The aggregates of a provider."""
    return _shown(call, tx, provider_of(call, tx))


@routes.add(
    "PUT",
    _PATH,
    policy=policy.UPDATE_AGGREGATES,
    body=GuardedAggregates,
    since=V.AGGREGATE_GENERATION,
    answers=AggregatesAnswer,
)
def set_aggregates(call: Call, tx: Tx, body: GuardedAggregates) -> Reply:
    """Replaces the aggregates of a provider."""
    provider = provider_of(call, tx)
    check_generation(provider, body.resource_provider_generation)
    store.set_aggregates(tx, provider.id, _distinct(body.aggregates))
    return _shown(call, tx, store.advance(tx, provider.id))


@routes.add(
    "PUT",
    _PATH,
    policy=policy.UPDATE_AGGREGATES,
    body=list[Uuid],
    since=V.AGGREGATES,
    until=V.LISTED_BY_TRAIT,
    answers=AggregatesAnswer,
)
def set_aggregates_unguarded(call: Call, tx: Tx, body: list[str]) -> Reply:
    """Replaces the aggregates of a provider, whatever its generation."""
    provider = provider_of(call, tx)
    store.set_aggregates(tx, provider.id, _distinct(body))
    return _shown(call, tx, store.touch(tx, provider.id))
