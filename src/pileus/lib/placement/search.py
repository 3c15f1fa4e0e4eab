"""The search itself: tree by tree, group by group, never over capacity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, product
from random import Random
from typing import TypeAlias

import msgspec

from pileus.lib.placement.model import (
    NONE,
    SHARES_VIA_AGGREGATE,
    Candidate,
    Group,
    Provider,
    Providers,
    Request,
)

Amounts: TypeAlias = dict[str, dict[str, int]]
"""By provider id and resource class."""
Mappings: TypeAlias = dict[str, tuple[str, ...]]
"""Ids of the providers that meet each group, by suffix."""
Choices: TypeAlias = list[tuple[Provider, ...]]
"""Ways to meet one group: the provider of each of its resource classes, or of all when it has a suffix."""


def search(providers: Providers, request: Request, random: Random | None = None) -> list[Candidate]:
    """The ways to meet the request, all different, at most `request.limit`.

    Trees come in the order in which they were added, or shuffled with `random`. Under a limit every tree
    that can meet the request gives one candidate before any gives a second.
    """
    roots = _roots(providers, request)
    if random is not None:
        random.shuffle(roots)
    trees = _Trees(providers, request)
    found = _interleaved(trees.candidates(root) for root in roots)
    if providers.has_sharing:
        found = _distinct(found)
    return list(islice(found, request.limit))


def related_providers(providers: Providers, candidates: Iterable[Candidate]) -> list[Provider]:
    """The providers that summaries of these candidates cover: whole trees, and the sharing ones in use."""
    related: dict[str, Provider] = {}
    for candidate in candidates:
        for provider in providers.tree(candidate.root_id):
            related.setdefault(provider.id, provider)
        for provider_id in candidate.allocations:
            provider_in_use = providers.get(provider_id)
            if provider_in_use is not None:
                related.setdefault(provider_id, provider_in_use)
    return list(related.values())


def _roots(providers: Providers, request: Request) -> list[str]:
    """The trees that may meet the request. One that must be used, and shares nothing with others, is the only one."""
    roots = providers.roots
    for root_id in _trees_wanted(providers, request).values():
        if not any(SHARES_VIA_AGGREGATE in provider.traits for provider in providers.tree(root_id)):
            roots = [root_id] if root_id in roots else []
    return roots


def _trees_wanted(providers: Providers, request: Request) -> dict[str, str]:
    """The root of the tree that a group must be met from, by suffix; "" where there is no such tree."""
    wanted = {}
    for suffix, group in request.groups.items():
        if group.in_tree is not None:
            provider = providers.get(group.in_tree)
            wanted[suffix] = "" if provider is None else provider.root_id
    return wanted


def _interleaved(streams: Iterable[Iterator[Candidate]]) -> Iterator[Candidate]:
    while streams:
        lasting: list[Iterator[Candidate]] = []
        for stream in streams:
            for candidate in stream:
                yield candidate
                lasting.append(stream)
                break
        streams = lasting


def _distinct(candidates: Iterator[Candidate]) -> Iterator[Candidate]:
    """What a sharing provider gives alone is found in each tree that it shares with."""
    seen = set()
    for candidate in candidates:
        key = msgspec.msgpack.encode((candidate.allocations, candidate.mappings), order="deterministic")
        if key not in seen:
            seen.add(key)
            yield candidate


def _alone(eligible: list[Provider], group: Group) -> Choices:
    """Choices of a single provider that meets the whole of a group with a suffix."""
    return [
        (provider,)
        for provider in eligible
        if _has_traits(provider.traits, group)
        and _is_allowed(provider, provider.aggregates, group)
        and all(provider.has_room(*amount) for amount in group.resources.items())
    ]


def _spreads(providers: Providers, eligible: list[Provider], group: Group) -> Choices:
    """Choices of a provider for each resource class of the group without suffix, in the order of its classes.

    Required traits are met together by those chosen, forbidden ones by none; a root's aggregates are
    also those of its whole tree.
    """
    if group.forbidden or group.member_of or group.not_member_of:
        eligible = [one for one in eligible if _is_allowed(one, _aggregates(providers, one), group)]
    able = []
    for resource_class, amount in group.resources.items():
        with_room = [provider for provider in eligible if provider.has_room(resource_class, amount)]
        if not with_room:
            return []
        able.append(with_room)
    spreads = product(*able)
    if not group.required:
        return list(spreads)
    return [one for one in spreads if _has_traits(NONE.union(*(provider.traits for provider in one)), group)]


def _aggregates(providers: Providers, provider: Provider) -> frozenset[str]:
    """Its own and its root's."""
    root = providers.get(provider.root_id)
    return provider.aggregates | root.aggregates if root else provider.aggregates


def _has_traits(traits: frozenset[str], group: Group) -> bool:
    return all(not traits.isdisjoint(alternatives) for alternatives in group.required)


def _is_allowed(provider: Provider, aggregates: frozenset[str], group: Group) -> bool:
    """Whether the provider has no forbidden trait, and these aggregates are what the group asks for."""
    return (
        provider.traits.isdisjoint(group.forbidden)
        and aggregates.isdisjoint(group.not_member_of)
        and all(not aggregates.isdisjoint(alternatives) for alternatives in group.member_of)
    )


class _Trees:
    """Meets one request from one tree after the other."""

    def __init__(self, providers: Providers, request: Request) -> None:
        self._providers = providers
        self._request = request
        self._groups = list(request.groups.items())
        self._trees_wanted = _trees_wanted(providers, request)

    def candidates(self, root_id: str) -> Iterator[Candidate]:
        request = self._request
        members = self._providers.tree(root_id)
        root = self._providers.get(root_id)
        traits = root.traits if root else NONE
        if not (request.root_required <= traits and request.root_forbidden.isdisjoint(traits)):
            return
        shared = self._providers.shared_with(members)
        everyone = [*members, *shared] if shared else members
        choices: list[Choices] = []
        for suffix, group in self._groups:
            eligible = everyone
            if (tree := self._trees_wanted.get(suffix)) is not None:
                eligible = [provider for provider in everyone if provider.root_id == tree]
            found = _alone(eligible, group) if suffix else _spreads(self._providers, eligible, group)
            if not found:
                return
            choices.append(found)
        for amounts, mappings in self._combinations(choices, 0, {}, {}):
            yield Candidate(root_id, amounts, mappings)

    def _combinations(
        self, choices: list[Choices], index: int, amounts: Amounts, mappings: Mappings
    ) -> Iterator[tuple[Amounts, Mappings]]:
        """One choice for each group from `index` on, added to what the groups before it take."""
        suffix, group = self._groups[index]
        for chosen in choices[index]:
            if suffix and self._is_taken(chosen[0], mappings):
                continue
            together = _added(amounts, group, chosen, suffix)
            if together is None:
                continue
            mapped = {**mappings, suffix: tuple(dict.fromkeys([provider.id for provider in chosen]))}
            if index + 1 < len(choices):
                yield from self._combinations(choices, index + 1, together, mapped)
            elif all(self._in_one_subtree(mapped, suffixes) for suffixes in self._request.same_subtree):
                yield together, mapped

    def _is_taken(self, provider: Provider, mappings: Mappings) -> bool:
        """Whether another group with a suffix has this provider and may not share it."""
        return self._request.group_policy == "isolate" and any(
            suffix and ids[0] == provider.id for suffix, ids in mappings.items()
        )

    def _in_one_subtree(self, mappings: Mappings, suffixes: frozenset[str]) -> bool:
        """Whether one of the providers of these groups is an ancestor of all the others."""
        ids = frozenset(provider_id for suffix in suffixes for provider_id in mappings.get(suffix, ()))
        return not ids or bool(ids.intersection(*(self._line(provider_id) for provider_id in ids)))

    def _line(self, provider_id: str) -> Iterator[str]:
        """The provider and its ancestors."""
        provider = self._providers.get(provider_id)
        while provider is not None:
            yield provider.id
            provider = self._providers.get(provider.parent_id) if provider.parent_id else None


def _added(amounts: Amounts, group: Group, chosen: tuple[Provider, ...], suffix: str) -> Amounts | None:
    """The amounts with the group's added; None when a provider asked twice for a class has too little."""
    together = {provider_id: classes.copy() for provider_id, classes in amounts.items()}
    for index, (resource_class, amount) in enumerate(group.resources.items()):
        provider = chosen[0] if suffix else chosen[index]
        classes = together.setdefault(provider.id, {})
        before = classes.get(resource_class, 0)
        classes[resource_class] = before + amount
        if before and not provider.has_room(resource_class, before + amount):
            return None
    return together
