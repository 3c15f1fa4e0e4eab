"""Usages: sums of allocations, by provider and by project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pileus.kernel.api.call import Call
from pileus.kernel.api.query import Param
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.http.reply import Reply
from pileus.services.placement import policy
from pileus.services.placement.api.allocation import UNKNOWN_TYPE
from pileus.services.placement.api.common import PROVIDER, NonEmptyText, answer, provider_of
from pileus.services.placement.store import allocation as allocations
from pileus.services.placement.store import inventory as inventories
from pileus.services.placement.versions import V

routes = Routes()
ALL_TYPES = "all"
AnyType = Annotated[str, Meta(pattern=r"^([A-Z0-9_]+|all|unknown)\Z", min_length=1, max_length=255)]


class ProviderUsages(msgspec.Struct):
    """What is used of a provider, by class."""

    resource_provider_generation: int
    usages: dict[str, int]


class UsagesAnswer(msgspec.Struct):
    """What is used by class; from 1.38 on by type of consumer, then by class beside `consumer_count`."""

    usages: dict[str, int | dict[str, int]]


@routes.add("GET", PROVIDER + "/usages", policy=policy.PROVIDER_USAGES, answers=ProviderUsages)
def provider_usages(call: Call, tx: Tx) -> Reply:
    """What is used of each of a provider's inventories."""
    provider = provider_of(call, tx)
    used = inventories.used(tx, provider.id)
    usages = {row.resource_class: used.get(row.resource_class, 0) for row in inventories.of(tx, provider.id)}
    return answer(call, ProviderUsages(provider.generation, usages), tx.now)


def _project(call: Call, body: Any) -> Mapping[str, Any]:
    return {"project_id": call.arg("project_id")}


@routes.add(
    "GET",
    "/usages",
    policy=policy.USAGES,
    since=V.USAGES,
    target=_project,
    query=(
        Param(name="project_id", type=NonEmptyText, required=True),
        Param(name="user_id", type=NonEmptyText),
        Param(name="consumer_type", type=AnyType, since=V.CONSUMER_TYPES),
    ),
    answers=UsagesAnswer,
)
def project_usages(call: Call, tx: Tx) -> Reply:
    """What a project, or one of its users, uses; from 1.38 on by type of consumer."""
    sums, counts = allocations.usages(tx, call.query["project_id"][-1], call.arg("user_id"))
    wanted = call.arg("consumer_type")
    usages: dict[str, Any] = {}
    if not call.has(V.CONSUMER_TYPES):
        for row in sums:
            usages[row.resource_class] = usages.get(row.resource_class, 0) + int(row.used)
        return answer(call, UsagesAnswer(usages), tx.now)
    for row in counts:
        kind = ALL_TYPES if wanted == ALL_TYPES else row.type or UNKNOWN_TYPE
        entry = usages.setdefault(kind, {"consumer_count": 0})
        entry["consumer_count"] += row.consumers
    for row in sums:
        entry = usages[ALL_TYPES if wanted == ALL_TYPES else row.type or UNKNOWN_TYPE]
        entry[row.resource_class] = entry.get(row.resource_class, 0) + int(row.used)
    if wanted not in (None, ALL_TYPES):
        usages = {kind: entry for kind, entry in usages.items() if kind == wanted}
    return answer(call, UsagesAnswer(usages), tx.now)
