"""Placement's search against brute force on small clouds, at speed on large ones, and its explanations."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.lib.placement import (
    SHARES_VIA_AGGREGATE,
    Candidate,
    Group,
    Inventory,
    Provider,
    Providers,
    Request,
    explain_shortage,
    quantity,
    related_providers,
    search,
)
from pileus.testing.cost import least_seconds

CLASSES = ("VCPU", "MEMORY_MB", "DISK_GB")
TRAITS = ("T1", "T2", "T3")
AGGREGATES = ("a1", "a2")

inventories = st.builds(
    Inventory,
    total=st.integers(1, 8),
    reserved=st.integers(0, 2),
    min_unit=st.integers(1, 2),
    max_unit=st.integers(2, 8),
    step_size=st.integers(1, 2),
    allocation_ratio=st.sampled_from([1.0, 1.5, 2.0]),
)
some_traits = st.frozensets(st.sampled_from(TRAITS), max_size=2)
some_aggregates = st.frozensets(st.sampled_from(AGGREGATES))


@st.composite
def clouds(draw: st.DrawFn) -> list[Provider]:
    providers: list[Provider] = []
    for tree in range(draw(st.integers(1, 3))):
        root_id = f"r{tree}"
        ids = [root_id]
        for child in range(draw(st.integers(0, 2))):
            ids.append(f"{root_id}.{child}")
        for index, provider_id in enumerate(ids):
            traits = draw(some_traits)
            if draw(st.integers(0, 5)) == 0:
                traits |= {SHARES_VIA_AGGREGATE}
            stock = draw(st.dictionaries(st.sampled_from(CLASSES), inventories))
            providers.append(
                Provider(
                    id=provider_id,
                    root_id=root_id,
                    parent_id=draw(st.sampled_from(ids[:index])) if index else None,
                    inventories=stock,
                    used={name: draw(st.integers(0, 3)) for name in stock},
                    traits=traits,
                    aggregates=draw(some_aggregates),
                )
            )
    return providers


def groups(in_tree: list[str | None], least: int) -> st.SearchStrategy[Group]:
    any_of = st.lists(st.frozensets(st.sampled_from(TRAITS), min_size=1, max_size=2), max_size=1).map(tuple)
    return st.builds(
        Group,
        resources=st.dictionaries(st.sampled_from(CLASSES), st.integers(1, 4), min_size=least, max_size=2),
        required=any_of,
        forbidden=st.frozensets(st.sampled_from(TRAITS), max_size=1),
        member_of=st.lists(st.frozensets(st.sampled_from(AGGREGATES), min_size=1), max_size=1).map(tuple),
        not_member_of=st.frozensets(st.sampled_from(AGGREGATES), max_size=1),
        in_tree=st.sampled_from(in_tree),
    )


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Provider], Request]:
    cloud = draw(clouds())
    in_tree: list[str | None] = [None, None, None, *(provider.id for provider in cloud), "nowhere"]
    asked: dict[str, Group] = {}
    for suffix in draw(st.sampled_from([("",), ("1",), ("", "1"), ("1", "2"), ("", "1", "2")])):
        asked[suffix] = draw(groups(in_tree, 0 if suffix else 1))
    suffixes = [suffix for suffix in asked if suffix]
    return cloud, Request(
        groups=asked,
        group_policy=draw(st.sampled_from(["none", "isolate"])),
        same_subtree=draw(st.sampled_from([(), (frozenset(suffixes),)])) if len(suffixes) > 1 else (),
        root_required=draw(st.frozensets(st.sampled_from(TRAITS), max_size=1))
        if draw(st.booleans())
        else frozenset(),
        root_forbidden=draw(st.frozensets(st.sampled_from(TRAITS), max_size=1))
        if draw(st.booleans())
        else frozenset(),
    )


def room(provider: Provider, resource_class: str, amount: int) -> bool:
    """The capacity rule by exact arithmetic, apart from the code under test."""
    stock = provider.inventories.get(resource_class)
    if stock is None or not stock.min_unit <= amount <= stock.max_unit or amount % stock.step_size:
        return False
    return provider.used[resource_class] + amount <= (stock.total - stock.reserved) * Fraction(
        stock.allocation_ratio
    )


def by_brute_force(cloud: list[Provider], request: Request) -> Iterator[tuple[Any, Any]]:
    by_id = {provider.id: provider for provider in cloud}
    for root in (provider for provider in cloud if provider.parent_id is None):
        tree = [provider for provider in cloud if provider.root_id == root.id]
        joined = frozenset[str]().union(*(provider.aggregates for provider in tree))
        reachable = tree + [
            provider
            for provider in cloud
            if provider.root_id != root.id
            and SHARES_VIA_AGGREGATE in provider.traits
            and provider.aggregates & joined
        ]
        if not request.root_required <= root.traits or request.root_forbidden & root.traits:
            continue
        slots = [
            (suffix, resource_class)
            for suffix, group in request.groups.items()
            for resource_class in (group.resources if not suffix else ["whole"])
        ]
        for assignment in product(reachable, repeat=len(slots)):
            placed: dict[str, list[Provider]] = {}
            for (suffix, _), provider in zip(slots, assignment, strict=True):
                placed.setdefault(suffix, []).append(provider)
            amounts: dict[tuple[str, str], int] = {}
            right = True
            for suffix, group in request.groups.items():
                for index, (resource_class, amount) in enumerate(group.resources.items()):
                    provider = placed[suffix][0 if suffix else index]
                    right &= room(provider, resource_class, amount)
                    key = (provider.id, resource_class)
                    amounts[key] = amounts.get(key, 0) + amount
                together = frozenset[str]().union(*(provider.traits for provider in placed[suffix]))
                right &= all(together & any_of for any_of in group.required)
                for provider in placed[suffix]:
                    aggregates = provider.aggregates
                    if not suffix and provider.root_id in by_id:
                        aggregates |= by_id[provider.root_id].aggregates
                    right &= not provider.traits & group.forbidden
                    right &= not aggregates & group.not_member_of
                    right &= all(aggregates & any_of for any_of in group.member_of)
                    if group.in_tree:
                        right &= group.in_tree in by_id
                        right &= right and by_id[group.in_tree].root_id == provider.root_id
            right &= all(
                room(by_id[provider_id], name, amount) for (provider_id, name), amount in amounts.items()
            )
            alone = [placed[suffix][0].id for suffix in request.groups if suffix]
            right &= request.group_policy == "none" or len(set(alone)) == len(alone)
            for suffixes in request.same_subtree:
                ids = {placed[suffix][0].id for suffix in suffixes}
                right &= any(all(descends(by_id, one, top) for one in ids) for top in ids)
            if right:
                mappings = {
                    suffix: tuple(dict.fromkeys(one.id for one in placed[suffix]))
                    for suffix in request.groups
                }
                yield frozenset(amounts.items()), frozenset(mappings.items())


def descends(by_id: dict[str, Provider], provider_id: str | None, top: str) -> bool:
    while provider_id is not None and provider_id != top:
        provider_id = by_id[provider_id].parent_id
    return provider_id == top


def key(candidate: Candidate) -> tuple[Any, Any]:
    amounts = {
        (provider_id, name): amount
        for provider_id, classes in candidate.allocations.items()
        for name, amount in classes.items()
    }
    return frozenset(amounts.items()), frozenset(candidate.mappings.items())


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(situations(), st.integers(1, 3))
def test_finds_exactly_what_brute_force_finds(situation: tuple[list[Provider], Request], limit: int) -> None:
    cloud, request = situation
    providers = Providers(cloud)
    found = [key(candidate) for candidate in search(providers, request)]
    expected = set(by_brute_force(cloud, request))
    assert set(found) == expected
    assert len(found) == len(expected)
    shuffled = {key(candidate) for candidate in search(providers, request, Random(limit))}
    assert shuffled == expected
    limited = search(providers, msgspec.structs.replace(request, limit=limit))
    assert len(limited) == min(limit, len(expected))
    if not expected:
        reason = explain_shortage(providers, request)
        assert reason
        assert not reason.endswith(".")


@pytest.mark.slow
@given(clouds(), clouds(), st.data())
def test_put_and_remove_lead_to_the_same_as_building_anew(
    old: list[Provider], new: list[Provider], data: st.DataObject
) -> None:
    providers = Providers(old)
    for provider in data.draw(st.permutations(old)):
        providers.remove(provider.id)
    providers.remove("nowhere")
    assert (len(providers), providers.roots, providers.has_sharing) == (0, [], False)
    for provider in (*old, *new):
        providers.put(provider)
    for provider in old:
        if provider.id not in {one.id for one in new}:
            providers.remove(provider.id)
    fresh = Providers(new)
    assert len(providers) == len(fresh)
    assert {root: {one.id: one for one in providers.tree(root)} for root in providers.roots} == {
        root: {one.id: one for one in fresh.tree(root)} for root in fresh.roots
    }
    assert providers.has_sharing == fresh.has_sharing


def host(name: str, vcpus: int = 16, memory_mib: int = 65536, disk_gib: int = 500, **more: Any) -> Provider:
    return Provider(
        id=name,
        root_id=name,
        inventories={
            "VCPU": Inventory(vcpus, allocation_ratio=4.0, max_unit=vcpus),
            "MEMORY_MB": Inventory(memory_mib, reserved=512, max_unit=memory_mib),
            "DISK_GB": Inventory(disk_gib, max_unit=disk_gib),
        },
        **more,
    )


def ask(**resources: int) -> Request:
    return Request(groups={"": Group(resources=resources)})


def test_limit_spreads_over_the_trees() -> None:
    def numa(name: str) -> list[Provider]:
        stock = {"VCPU": Inventory(4)}
        return [Provider(id=name, root_id=name)] + [
            Provider(id=f"{name}.{cell}", root_id=name, parent_id=name, inventories=stock)
            for cell in range(4)
        ]

    providers = Providers(provider for name in "abc" for provider in numa(name))
    request = msgspec.structs.replace(ask(VCPU=1), limit=4)
    assert [candidate.root_id for candidate in search(providers, request)] == ["a", "b", "c", "a"]


def test_summaries_cover_whole_trees_and_sharing_providers() -> None:
    storage = Provider(
        id="s",
        root_id="s",
        inventories={"DISK_GB": Inventory(1000)},
        traits=frozenset({SHARES_VIA_AGGREGATE}),
        aggregates=frozenset({"a"}),
    )
    compute = Provider(id="c", root_id="c", inventories={"VCPU": Inventory(8)}, aggregates=frozenset({"a"}))
    child = Provider(id="c.0", root_id="c", parent_id="c")
    apart = Provider(id="x", root_id="x", inventories={"VCPU": Inventory(8)})
    providers = Providers([storage, compute, child, apart])
    (candidate,) = search(providers, ask(VCPU=1, DISK_GB=10))
    assert candidate.allocations == {"c": {"VCPU": 1}, "s": {"DISK_GB": 10}}
    assert candidate.mappings == {"": ("c", "s")}
    assert [provider.id for provider in related_providers(providers, [candidate])] == ["c", "c.0", "s"]


@pytest.mark.slow
def test_a_search_takes_as_long_as_the_cloud_is_large() -> None:
    random = Random(1)
    hosts = [
        host(f"h{number}", used={"VCPU": random.randrange(40), "MEMORY_MB": random.randrange(60_000)})
        for number in range(16_000)
    ]
    request = ask(VCPU=2, MEMORY_MB=4096, DISK_GB=20)
    small, large = Providers(hosts[:1_000]), Providers(hosts)
    assert len(search(large, request)) > len(hosts) * 0.9
    quick = least_seconds(lambda: search(small, request), 10)
    assert least_seconds(lambda: search(large, request)) < 8 * 16 * quick  # not 16 times 16


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (ask(MEMORY_MB=61440), "no host has 60 GiB of memory free; the largest has 23 GiB"),
        (
            ask(MEMORY_MB=262144),
            "no host is large enough for 256 GiB of memory; the largest can give 63.5 GiB to one server",
        ),
        (ask(VCPU=17), "no host is large enough for 17 vCPUs; the largest can give 16 vCPUs to one server"),
        (ask(DISK_GB=400), "no host has 400 GiB of disk free; the largest has 300 GiB"),
        (ask(CUSTOM_GPU=1), "no host offers CUSTOM_GPU"),
        (
            ask(DISK_GB=300, MEMORY_MB=23552),
            "no single host has 300 GiB of disk, 23 GiB of memory free at once, "
            "though each of these is free somewhere",
        ),
        (
            Request(groups={"": Group(resources={"VCPU": 1}, required=(frozenset({"GPU"}),))}),
            "no host with enough room has the trait GPU",
        ),
        (
            Request(groups={"": Group(resources={"VCPU": 1}, forbidden=frozenset({"COMMON"}))}),
            "all hosts with enough room have a forbidden trait: COMMON",
        ),
        (
            Request(groups={"": Group(resources={"VCPU": 1}, member_of=(frozenset({"zone"}),))}),
            "no host with enough room is in the aggregates (zones) that were asked for",
        ),
        (
            Request(groups={"": Group(resources={"DISK_GB": 250}, in_tree="big-memory")}),
            "the host that was asked for has not enough room",
        ),
        (
            Request(groups={"": Group(resources={"VCPU": 1})}, root_required=frozenset({"ROOT"})),
            "no host with enough room has the traits that its root must have",
        ),
        (
            Request(
                groups={"1": Group(resources={"VCPU": 1}), "2": Group(resources={"VCPU": 1})},
                group_policy="isolate",
            ),
            "no host can meet each request group from a different provider",
        ),
    ],
)
def test_explanations(request_: Request, reason: str) -> None:
    traits = frozenset({"COMMON"})
    providers = Providers(
        [
            host("big-memory", traits=traits, used={"MEMORY_MB": 41472, "DISK_GB": 300}),
            host("big-disk", traits=traits, used={"MEMORY_MB": 65024, "DISK_GB": 200}),
        ]
    )
    assert search(providers, request_) == []
    assert explain_shortage(providers, request_) == reason


def test_explanations_of_odd_inventories() -> None:
    step = Providers(
        [Provider(id="p", root_id="p", inventories={"PCPU": Inventory(16, min_unit=2, step_size=4)})]
    )
    assert explain_shortage(step, ask(PCPU=3)) == (
        "no host hands out 3 dedicated CPUs: PCPU comes from 2 in steps of 4"
    )
    full = Providers([Provider(id="p", root_id="p", inventories={"VCPU": Inventory(4)}, used={"VCPU": 4})])
    assert explain_shortage(full, ask(VCPU=1)) == "no host has 1 vCPU free; all of it is in use"
    assert explain_shortage(Providers(), ask(VCPU=1)) == "there are no hosts yet"


def test_quantities() -> None:
    assert quantity("MEMORY_MB", 1536) == "1.5 GiB of memory"
    assert quantity("MEMORY_MB", 1537) == "1537 MiB of memory"
    assert quantity("MEMORY_MB", 512, named=False) == "512 MiB"
    assert quantity("CUSTOM_FPGA", 2) == "2 CUSTOM_FPGA"


def test_a_request_asks_for_something() -> None:
    with pytest.raises(ValueError, match="without groups"):
        Request(groups={})
