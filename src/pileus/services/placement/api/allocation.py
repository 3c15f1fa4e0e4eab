"""Allocations: what consumers have, and of which providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import Uuid
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import NotFound
from pileus.kernel.http.reply import Reply
from pileus.services.placement import policy
from pileus.services.placement.api.asked import is_uuid, read_uuid
from pileus.services.placement.api.common import (
    PROVIDER,
    AnyUuid,
    ClassName,
    NonEmptyText,
    answer,
    provider_of,
)
from pileus.services.placement.claim import Claim, claim, free
from pileus.services.placement.store import allocation as store
from pileus.services.placement.versions import V

routes = Routes()
_ALL, _ONE, _OF_PROVIDER = "/allocations", "/allocations/{consumer_uuid}", PROVIDER + "/allocations"
UNKNOWN_TYPE = "unknown"
"""The type of consumers made without one."""

Amount = Annotated[int, Meta(ge=1)]
Resources = Annotated[dict[ClassName, Amount], Meta(min_length=1)]
ConsumerType = Annotated[str, Meta(pattern=r"^[A-Z0-9_]+\Z", min_length=1, max_length=255)]
Mappings = Annotated[
    dict[
        Annotated[str, Meta(pattern=r"^([a-zA-Z0-9_-]{1,64})?\Z")], Annotated[list[Uuid], Meta(min_length=1)]
    ],
    Meta(min_length=1),
]
"""Which provider meets which group: taken from a candidate, and not used."""


class Portion(msgspec.Struct, forbid_unknown_fields=True):
    """What one provider gives."""

    resources: Resources
    generation: int | None = None
    """As a GET shows it; not looked at."""


Portions = dict[AnyUuid, Portion]


class ProviderId(msgspec.Struct, forbid_unknown_fields=True):
    uuid: Uuid


class ListedPortion(msgspec.Struct, forbid_unknown_fields=True):
    resource_provider: ProviderId
    resources: Resources


class Allocations0(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Before 1.8: a list, for nobody in particular."""

    allocations: Annotated[list[ListedPortion], Meta(min_length=1)]


class Allocations8(Allocations0, kw_only=True, forbid_unknown_fields=True):
    """From 1.8 on they name project and user."""

    project_id: NonEmptyText
    user_id: NonEmptyText


class Allocations12(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """From 1.12 on by provider."""

    allocations: Annotated[Portions, Meta(min_length=1)]
    project_id: NonEmptyText
    user_id: NonEmptyText


class Allocations13(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One consumer's among those of several."""

    allocations: Portions
    project_id: NonEmptyText
    user_id: NonEmptyText


class Allocations28(Allocations13, kw_only=True, forbid_unknown_fields=True):
    """From 1.28 on with the generation of the consumer."""

    consumer_generation: int | None


class Allocations34(Allocations28, kw_only=True, forbid_unknown_fields=True):
    mappings: Mappings | UnsetType = UNSET


class Allocations38(Allocations34, kw_only=True, forbid_unknown_fields=True):
    consumer_type: ConsumerType


class Held(msgspec.Struct):
    """What a consumer has of one provider, with the generation of the provider."""

    generation: int
    resources: dict[str, int] = {}


class ConsumerAnswer(msgspec.Struct):
    allocations: dict[str, Held]
    project_id: str | UnsetType = UNSET
    user_id: str | UnsetType = UNSET
    consumer_generation: int | UnsetType = UNSET
    consumer_type: str | UnsetType = UNSET


class HeldByConsumer(msgspec.Struct):
    """What one consumer has of a provider."""

    resources: dict[str, int]
    consumer_generation: int | UnsetType = UNSET


class ProviderAnswer(msgspec.Struct):
    allocations: dict[str, HeldByConsumer]
    resource_provider_generation: int


AnyAllocations = Allocations0 | Allocations8 | Allocations12 | Allocations13


def consumer_id(text: str) -> str:
    """The id of a consumer in its usual form; 400 where it is no UUID."""
    return read_uuid("consumer_uuid", text)


def claim_of(consumer: str, body: AnyAllocations) -> Claim:
    """What a body of any version asks for."""
    amounts: Mapping[str, Mapping[str, int]]
    if isinstance(body, Allocations0):
        amounts = _by_provider(body.allocations)
    else:
        amounts = {provider.lower(): portion.resources for provider, portion in body.allocations.items()}
    return Claim(
        consumer_id=consumer_id(consumer),
        amounts=amounts,
        project_id=getattr(body, "project_id", UNSET),
        user_id=getattr(body, "user_id", UNSET),
        type=getattr(body, "consumer_type", UNSET),
        generation=getattr(body, "consumer_generation", UNSET),
    )


def _by_provider(portions: list[ListedPortion]) -> dict[str, dict[str, int]]:
    amounts: dict[str, dict[str, int]] = {}
    for portion in portions:
        amounts.setdefault(portion.resource_provider.uuid.lower(), {}).update(portion.resources)
    return amounts


def _put(call: Call, tx: Tx, body: AnyAllocations) -> None:
    """Replaces all that a consumer has."""
    claim(tx, [claim_of(call.params["consumer_uuid"], body)])


def _post(call: Call, tx: Tx, body: Mapping[str, AnyAllocations]) -> None:
    """Replaces all that several consumers have, at once."""
    claim(tx, [claim_of(consumer, wanted) for consumer, wanted in body.items()])


_PUT_BODIES = (
    (Allocations0, V.BASE, V.PUT_CLASS_CREATES),
    (Allocations8, V.PROJECT_AND_USER, V.ALLOCATIONS_LINK),
    (Allocations12, V.ALLOCATIONS_BY_PROVIDER, V.WHOLE_SUMMARIES),
    (Allocations28, V.CONSUMER_GENERATION, V.GROUP_NAMES),
    (Allocations34, V.MAPPINGS, V.REPARENT),
    (Allocations38, V.CONSUMER_TYPES, None),
)
_POST_BODIES = ((Allocations13, V.POST_ALLOCATIONS, V.WHOLE_SUMMARIES), *_PUT_BODIES[3:])

_body: Any
for _body, _since, _until in _PUT_BODIES:
    routes.add(
        "PUT", _ONE, policy=policy.UPDATE_ALLOCATIONS, body=_body, status=204, since=_since, until=_until
    )(_put)
for _body, _since, _until in _POST_BODIES:
    _several: Any = Annotated[dict[AnyUuid, _body], Meta(min_length=1)]
    routes.add(
        "POST", _ALL, policy=policy.MANAGE_ALLOCATIONS, body=_several, status=204, since=_since, until=_until
    )(_post)


@routes.add("GET", _ONE, policy=policy.LIST_ALLOCATIONS, answers=ConsumerAnswer)
def show_allocations(call: Call, tx: Tx) -> Reply:
    """All that a consumer has; nothing where there is no such consumer."""
    consumer = call.params["consumer_uuid"]
    rows = (
        store.of_consumer(tx, consumer := read_uuid("consumer_uuid", consumer)) if is_uuid(consumer) else []
    )
    shown = ConsumerAnswer({})
    for row in rows:
        held = shown.allocations.setdefault(row.provider_id, Held(row.generation))
        held.resources[row.resource_class] = row.used
    known = store.consumer(tx, consumer) if rows else None
    if known is not None:
        if call.has(V.ALLOCATIONS_BY_PROVIDER):
            shown.project_id, shown.user_id = known.project_id, known.user_id
        if call.has(V.CONSUMER_GENERATION):
            shown.consumer_generation = known.generation
        if call.has(V.CONSUMER_TYPES):
            shown.consumer_type = known.type or UNKNOWN_TYPE
    return answer(call, shown, max((row.updated_at for row in rows), default=tx.now))


@routes.add("DELETE", _ONE, policy=policy.DELETE_ALLOCATIONS, status=204)
def delete_allocations(call: Call, tx: Tx) -> None:
    """Frees all that a consumer has."""
    consumer = call.params["consumer_uuid"]
    if not is_uuid(consumer) or not free(tx, read_uuid("consumer_uuid", consumer)):
        raise NotFound(f"No allocations for consumer '{consumer}'")


@routes.add("GET", _OF_PROVIDER, policy=policy.PROVIDER_ALLOCATIONS, answers=ProviderAnswer)
def provider_allocations(call: Call, tx: Tx) -> Reply:
    """What consumers have of a provider."""
    provider = provider_of(call, tx)
    rows = store.of_provider(tx, provider.id)
    shown = ProviderAnswer({}, provider.generation)
    for row in rows:
        held = shown.allocations.setdefault(row.consumer_id, HeldByConsumer({}))
        held.resources[row.resource_class] = row.used
        if call.has(V.CONSUMER_GENERATION):
            held.consumer_generation = row.generation
    return answer(call, shown, max((row.updated_at for row in rows), default=tx.now))
