"""Allocation candidates: where what is asked for would fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Annotated, Final, Literal, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pileus.kernel.api.call import Call
from pileus.kernel.api.query import Param
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest
from pileus.kernel.http.reply import Reply, encode_json
from pileus.lib.placement import (
    Candidate,
    Group,
    Provider,
    Providers,
    Request,
    explain_shortage,
    related_providers,
    search,
)
from pileus.services.placement import policy
from pileus.services.placement.api.allocation import ListedPortion, ProviderId
from pileus.services.placement.api.asked import Traits, read_group
from pileus.services.placement.api.common import answer
from pileus.services.placement.dialect import QUERY_BAD_VALUE, QUERY_DUPLICATE, QUERY_MISSING
from pileus.services.placement.state import PlacementState
from pileus.services.placement.versions import V

routes = Routes()
WHY: Final = "pileus-why"
"""A header that says why there are no candidates: bodies have no place for it."""
MOST_CAPACITY: Final = 2**63 - 1

_NUMBER, _NAME = r"[1-9][0-9]*", r"[a-zA-Z0-9_-]{1,64}"
_GROUPED = (
    ("resources", V.CANDIDATES),
    ("required", V.CANDIDATE_TRAITS),
    ("member_of", V.CANDIDATE_MEMBER_OF),
    ("in_tree", V.CANDIDATE_IN_TREE),
)
_OF_GROUP = re.compile(f"({'|'.join(name for name, _ in _GROUPED)})({_NAME})?")
Limit = Annotated[str, Meta(pattern=r"^[1-9][0-9]*\Z")]

QUERY: tuple[Param, ...] = (
    *(Param(name=name, since=since) for name, since in _GROUPED),
    *(Param(name=name, since=max(since, V.GROUPS), suffix=_NUMBER) for name, since in _GROUPED),
    *(Param(name=name, since=max(since, V.GROUP_NAMES), suffix=_NAME) for name, since in _GROUPED),
    Param(name="limit", type=Limit, since=V.LIMIT),
    Param(name="group_policy", type=Literal["none", "isolate"], since=V.GROUPS),
    Param(name="root_required", since=V.ROOT_REQUIRED),
    Param(name="same_subtree", since=V.SAME_SUBTREE),
)


class Amounts(msgspec.Struct):
    """What one provider would give."""

    resources: dict[str, int]


class AllocationRequest(msgspec.Struct):
    """By provider; before 1.12 a list, as it was claimed then."""

    allocations: dict[str, Amounts] | list[ListedPortion]
    mappings: Mapping[str, Sequence[str]] | UnsetType = UNSET


class ClassSummary(msgspec.Struct):
    capacity: int
    used: int


class ProviderSummary(msgspec.Struct):
    resources: dict[str, ClassSummary]
    traits: list[str] | UnsetType = UNSET
    parent_provider_uuid: str | UnsetType | None = UNSET
    root_provider_uuid: str | UnsetType = UNSET


class CandidatesAnswer(msgspec.Struct):
    allocation_requests: list[AllocationRequest]
    provider_summaries: dict[str, ProviderSummary]


@routes.add(
    "GET",
    "/allocation_candidates",
    policy=policy.LIST_CANDIDATES,
    since=V.CANDIDATES,
    query=QUERY,
    answers=CandidatesAnswer,
)
def list_candidates(call: Call, tx: Tx) -> Reply:
    """Ways to meet a request, each ready to be claimed, and what is known of the providers concerned."""
    request = read_request(call, tx)
    state: PlacementState = call.runtime.state
    random = Random() if state.settings.randomize_candidates else None
    why = None
    with state.providers.current(tx) as providers:
        candidates = (
            search(providers, request, random)
            if call.has(V.CANDIDATE_TREES)
            else _flat(providers, request, random)
        )
        if not candidates:
            why = explain_shortage(providers, request)
        shown = CandidatesAnswer(
            _requests(call, candidates), _summaries(call, providers, request, candidates)
        )
    reply = answer(call, shown, tx.now)
    if why is not None:
        reply.headers[WHY] = why
    return reply


def _flat(providers: Providers, request: Request, random: Random | None) -> list[Candidate]:
    """As before 1.29: never two providers of one tree."""
    unlimited = msgspec.structs.replace(request, limit=None)
    flat = [
        candidate
        for candidate in search(providers, unlimited, random)
        if sum(1 for each in candidate.allocations if _is_in(providers, each, candidate.root_id)) <= 1
    ]
    return flat[: request.limit]


def _is_in(providers: Providers, provider_id: str, root_id: str) -> bool:
    provider = providers.get(provider_id)
    return provider is not None and provider.root_id == root_id


# From the query


def read_request(call: Call, tx: Tx) -> Request:
    """The request that the query describes; 400 where it makes no sense."""
    parameters: dict[str, dict[str, Sequence[str]]] = {}
    for name, values in call.query.items():
        if (of_group := _OF_GROUP.fullmatch(name)) is not None:
            parameters.setdefault(of_group[2] or "", {})[of_group[1]] = values
    if "resources" not in parameters.get("", {}) and not call.has(V.GROUPS):
        raise BadRequest("Invalid query string parameters: 'resources' is a required property")
    subtrees = _same_subtree(call)
    groups = {suffix: read_group(call, tx, suffix, values) for suffix, values in sorted(parameters.items())}
    _check_groups(groups, subtrees)
    isolate = call.query.get("group_policy", [""])[0]
    numbered = [suffix for suffix, group in groups.items() if suffix and group.resources]
    if len(numbered) > 1 and not isolate:
        raise BadRequest(
            'The "group_policy" parameter is required with more than one "resources{N}" parameter.',
            kind=QUERY_MISSING,
        )
    limit = call.query.get("limit")
    required, forbidden = _root_traits(call, tx)
    return Request(
        groups=groups,
        group_policy="isolate" if isolate == "isolate" else "none",
        same_subtree=subtrees,
        root_required=required,
        root_forbidden=forbidden,
        limit=min(int(limit[0][:18]), 2**31) if limit else None,
    )


def _check_groups(groups: dict[str, Group], subtrees: Iterable[frozenset[str]]) -> None:
    named = frozenset[str]().union(*subtrees)
    if unknown := sorted(named - {suffix for suffix in groups if suffix}):
        raise BadRequest(
            f"same_subtree names suffixes that no request group has: {', '.join(unknown)}.",
            kind=QUERY_BAD_VALUE,
        )
    if not any(group.resources for group in groups.values()):
        raise BadRequest(
            "There must be at least one resources or resources[$S] parameter.", kind=QUERY_MISSING
        )
    if orphans := sorted(
        suffix for suffix, group in groups.items() if not group.resources and suffix not in named
    ):
        words = ", ".join(suffix or "the one without suffix" for suffix in orphans)
        raise BadRequest(f"All request groups must specify resources. Without are: {words}")


def _same_subtree(call: Call) -> tuple[frozenset[str], ...]:
    subtrees = []
    for value in call.query.get("same_subtree", ()):
        suffixes = [part.strip() for part in value.split(",")]
        if not all(suffixes):
            raise BadRequest(
                f"Empty string (unsuffixed group) can not be specified in `same_subtree`: {value!r}",
                kind=QUERY_BAD_VALUE,
            )
        subtrees.append(frozenset(suffixes))
    return tuple(subtrees)


def _root_traits(call: Call, tx: Tx) -> tuple[frozenset[str], frozenset[str]]:
    values = call.query.get("root_required", [])
    if len(values) > 1:
        raise BadRequest("Query parameter 'root_required' may be specified only once.", kind=QUERY_DUPLICATE)
    if values and values[0].startswith("in:"):
        raise BadRequest(
            "Query parameter 'root_required' takes names of traits alone, no in:.", kind=QUERY_BAD_VALUE
        )
    traits = Traits(call, tx, "root_required", values)
    return frozenset[str]().union(*traits.required), frozenset(traits.forbidden)


# To the answer


def _requests(call: Call, candidates: Sequence[Candidate]) -> list[AllocationRequest]:
    if not call.has(V.ALLOCATIONS_BY_PROVIDER):
        return [
            AllocationRequest([ListedPortion(ProviderId(each), amounts) for each, amounts in given.items()])
            for given in (candidate.allocations for candidate in candidates)
        ]
    mapped = call.has(V.MAPPINGS)
    return [
        AllocationRequest(
            {each: Amounts(amounts) for each, amounts in candidate.allocations.items()},
            candidate.mappings if mapped else UNSET,
        )
        for candidate in candidates
    ]


def _summaries(
    call: Call, providers: Providers, request: Request, candidates: Sequence[Candidate]
) -> dict[str, ProviderSummary]:
    """By provider: whole trees from 1.29 on, before that those that a candidate names."""
    whole, traits, trees = (
        call.has(V.WHOLE_SUMMARIES),
        call.has(V.CANDIDATE_TRAITS),
        call.has(V.CANDIDATE_TREES),
    )
    named = {name for group in request.groups.values() for name in group.resources}
    if trees:
        related = related_providers(providers, candidates)
    else:
        ids = dict.fromkeys(each for candidate in candidates for each in candidate.allocations)
        related = [provider for each in ids if (provider := providers.get(each)) is not None]
    summaries = {}
    for provider in related:
        summary = ProviderSummary(_resources(provider, None if whole else named))
        if traits:
            summary.traits = cast("list[str]", _encoded(provider.traits))
        if trees:
            summary.parent_provider_uuid = provider.parent_id
            summary.root_provider_uuid = provider.root_id
        summaries[provider.id] = summary
    return summaries


@lru_cache(maxsize=4096)
def _encoded(traits: frozenset[str]) -> msgspec.Raw:
    """Hosts have scores of traits, mostly the same ones as the others."""
    return msgspec.Raw(encode_json(sorted(traits)))


def _resources(provider: Provider, names: set[str] | None) -> dict[str, ClassSummary]:
    return {
        name: ClassSummary(min(int(inventory.capacity), MOST_CAPACITY), provider.used.get(name, 0))
        for name, inventory in provider.inventories.items()
        if names is None or name in names
    }
