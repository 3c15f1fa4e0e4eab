"""The scheduler's choices: every filter both ways, weights as Nova scales them, reproducible from a seed."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.lib.schedule import (
    FILTERS,
    SCHEDULERS,
    WEIGHERS,
    HostState,
    Registry,
    RequestSpec,
    ServerGroup,
    Settings,
    make_scheduler,
)
from pileus.lib.schedule.extra_specs import matches
from pileus.testing.cost import least_seconds


def host(name: str = "h1", **more: Any) -> HostState:
    return HostState(host=name, **more)


def group(policy: Any, **more: Any) -> RequestSpec:
    return RequestSpec(group=ServerGroup(policy=policy, **more))


FLAVOR_SSD = RequestSpec(extra_specs={"disk": "ssd"})


@pytest.mark.parametrize(
    ("name", "state", "spec", "reason"),
    [
        ("ComputeFilter", host(), RequestSpec(), None),
        (
            "ComputeFilter",
            host(enabled=False, disabled_reason="new disks"),
            RequestSpec(),
            "disabled (new disks)",
        ),
        ("ComputeFilter", host(enabled=False), RequestSpec(), "disabled"),
        ("ComputeFilter", host(up=False), RequestSpec(), "not reporting (its compute service is down)"),
        ("AvailabilityZoneFilter", host(zone="a"), RequestSpec(), None),
        ("AvailabilityZoneFilter", host(zone="a"), RequestSpec(availability_zone="a"), None),
        ("AvailabilityZoneFilter", host(), RequestSpec(availability_zone="a"), "not in availability zone a"),
        ("RequestedHostFilter", host("x"), RequestSpec(host="x"), None),
        ("RequestedHostFilter", host("y"), RequestSpec(host="x"), "not the requested host x"),
        ("RetryFilter", host("x"), RequestSpec(tried_hosts=frozenset({"y"})), None),
        (
            "RetryFilter",
            host("x"),
            RequestSpec(tried_hosts=frozenset({"x"})),
            "already tried without success",
        ),
        ("ImagePropertiesFilter", host(), RequestSpec(disk_format="qcow2"), None),
        (
            "ImagePropertiesFilter",
            host(),
            RequestSpec(disk_format="rootfs"),
            "unable to start images of format rootfs",
        ),
        ("ImagePropertiesFilter", host(), RequestSpec(extra_specs={"hw:hypervisor": "qemu"}), None),
        (
            "ImagePropertiesFilter",
            host(),
            RequestSpec(extra_specs={"hw:hypervisor": "runc"}),
            "not of hypervisor type runc",
        ),
        ("ImagePropertiesFilter", host(), RequestSpec(image_properties={"img_hv_type": "qemu"}), None),
        (
            "ImagePropertiesFilter",
            host(),
            RequestSpec(extra_specs={"hw:hypervisor": "qemu"}, image_properties={"hypervisor_type": "lxc"}),
            "not of hypervisor type lxc",
        ),
        ("ImagePropertiesFilter", host(), RequestSpec(image_properties={"hw_architecture": "x86_64"}), None),
        (
            "ImagePropertiesFilter",
            host(),
            RequestSpec(image_properties={"architecture": "aarch64"}),
            "not of architecture aarch64",
        ),
        (
            "AggregateInstanceExtraSpecsFilter",
            host(metadata={"disk": frozenset({"hdd", "ssd"})}),
            FLAVOR_SSD,
            None,
        ),
        ("AggregateInstanceExtraSpecsFilter", host(), FLAVOR_SSD, "not in an aggregate whose disk is ssd"),
        (
            "AggregateInstanceExtraSpecsFilter",
            host(metadata={"disk": frozenset({"hdd"})}),
            RequestSpec(extra_specs={"aggregate_instance_extra_specs:disk": "ssd"}),
            "not in an aggregate whose disk is ssd",
        ),
        (
            "AggregateInstanceExtraSpecsFilter",
            host(),
            RequestSpec(extra_specs={"hw:cpu_policy": "dedicated"}),
            None,
        ),
        ("ServerGroupAffinityFilter", host("x"), group("affinity"), None),
        ("ServerGroupAffinityFilter", host("x"), group("affinity", members={"x": 2}), None),
        ("ServerGroupAffinityFilter", host("x"), group("anti-affinity", members={"y": 1}), None),
        (
            "ServerGroupAffinityFilter",
            host("y"),
            group("affinity", members={"x": 2}),
            "not where the server group is (policy affinity)",
        ),
        ("ServerGroupAntiAffinityFilter", host("x"), group("anti-affinity", members={"y": 1}), None),
        ("ServerGroupAntiAffinityFilter", host("x"), group("affinity", members={"x": 1}), None),
        (
            "ServerGroupAntiAffinityFilter",
            host("x"),
            group("anti-affinity", members={"x": 1}, max_server_per_host=2),
            None,
        ),
        (
            "ServerGroupAntiAffinityFilter",
            host("x"),
            group("anti-affinity", members={"x": 2}, max_server_per_host=2),
            "holding as many servers of the server group as it may (policy anti-affinity)",
        ),
        (
            "DifferentHostFilter",
            host(servers=frozenset({"s1"})),
            RequestSpec(different_host=frozenset({"s2"})),
            None,
        ),
        (
            "DifferentHostFilter",
            host(servers=frozenset({"s1"})),
            RequestSpec(different_host=frozenset({"s1", "s2"})),
            "excluded by the hint different_host",
        ),
        (
            "SameHostFilter",
            host(servers=frozenset({"s1"})),
            RequestSpec(same_host=frozenset({"s1", "s2"})),
            None,
        ),
        (
            "SameHostFilter",
            host(servers=frozenset({"s3"})),
            RequestSpec(same_host=frozenset({"s1"})),
            "holding none of the servers of the hint same_host",
        ),
    ],
)
def test_filters(name: str, state: HostState, spec: RequestSpec, reason: str | None) -> None:
    assert FILTERS[name](state, spec) == reason
    assert FILTERS[name](state, RequestSpec()) is None or name == "ComputeFilter"


@pytest.mark.parametrize(
    ("value", "wanted", "result"),
    [
        ("ssd", "ssd", True),
        ("ssd", "hdd", False),
        ("ssd nvme", "ssd nvme", True),
        ("", "", True),
        ("12", "= 10", True),
        ("9", "= 10", False),
        ("10", "== 10.0", True),
        ("10", "!= 10", False),
        ("11", ">= 10", True),
        ("11", "<= 10", False),
        ("many", ">= 10", False),
        ("11", ">=", False),
        ("b", "s> a", True),
        ("b", "s>= c", False),
        ("b", "s== b", True),
        ("b", "s!= b", False),
        ("b", "s< c", True),
        ("b", "s<= a", False),
        ("b", "s<=", False),
        ("12311321", "<in> 11", True),
        ("12311321", "<in> 99", False),
        ("12311321", "<in>", False),
        ("aes mmx aux", "<all-in> aes mmx", True),
        ("aes mmx aux", "<all-in> aes sse", False),
        ("12", "<or> 11 <or> 12", True),
        ("13", "<or> 11 <or> 12", False),
    ],
)
def test_extra_spec_language(value: str, wanted: str, result: bool) -> None:
    assert matches(value, wanted) is result


HOSTS = [
    host("small", free_memory_mib=1000, free_vcpus=10, free_disk_gib=10),
    host("middle", free_memory_mib=4000, free_vcpus=2, free_disk_gib=60),
    host("big", free_memory_mib=8000, free_vcpus=4, free_disk_gib=100),
]


def order(
    settings: Settings, spec: RequestSpec | None = None, hosts: list[HostState] | None = None
) -> list[str]:
    selection = make_scheduler("filter", settings).select(hosts or HOSTS, spec or RequestSpec(), Random(1))
    return [one.host for one in selection.hosts]


OFF = dict.fromkeys(WEIGHERS.names, 0.0)


def test_weighers() -> None:
    # big: 1 + 2/8 + 1; small: 0 + 1 + 0; middle: 3/7 + 0 + 5/9.
    assert order(Settings()) == ["big", "small", "middle"]
    assert order(Settings(multipliers=OFF | {"RAMWeigher": 1.0})) == ["big", "middle", "small"]
    assert order(Settings(multipliers=OFF | {"RAMWeigher": -1.0})) == ["small", "middle", "big"]
    assert order(Settings(multipliers=OFF | {"CPUWeigher": 1.0})) == ["small", "big", "middle"]
    assert order(Settings(multipliers=OFF | {"DiskWeigher": -1.0, "CPUWeigher": 0.5})) == [
        "small",
        "middle",
        "big",
    ]


def test_soft_policies_weigh() -> None:
    members = {"middle": 2, "small": 1}
    strong = {"ServerGroupSoftAffinityWeigher": 10.0, "ServerGroupSoftAntiAffinityWeigher": 10.0}
    together, apart = (
        RequestSpec(group=ServerGroup(policy=policy, members=members))
        for policy in ("soft-affinity", "soft-anti-affinity")
    )
    assert order(Settings(multipliers=strong), together) == ["middle", "small", "big"]
    assert order(Settings(multipliers=strong), apart) == ["big", "small", "middle"]


@pytest.mark.parametrize("name", ["chance", "filter"])
def test_equal_hosts_have_equal_chances_and_a_seed_decides(name: str) -> None:
    hosts = [host(f"h{number}") for number in range(4)]
    scheduler = make_scheduler(name)
    random = Random(3)
    first = [scheduler.select(hosts, RequestSpec(), random).hosts[0].host for _ in range(4_000)]
    assert all(900 < count < 1_100 for count in Counter(first).values())
    again = [scheduler.select(hosts, RequestSpec(), Random(5)) for _ in range(2)]
    assert again[0] == again[1]


def test_subset_draws_among_the_best() -> None:
    scheduler = make_scheduler("filter", Settings(host_subset_size=2))
    random = Random(1)
    selections = [scheduler.select(HOSTS, RequestSpec(), random) for _ in range(200)]
    assert {selection.hosts[0].host for selection in selections} == {"big", "small"}
    assert all(
        {one.host for one in selection.hosts} == {"big", "small", "middle"} for selection in selections
    )


specs = st.builds(
    RequestSpec,
    availability_zone=st.sampled_from([None, "a", "b"]),
    tried_hosts=st.frozensets(st.sampled_from(["h0", "h1"])),
    disk_format=st.sampled_from([None, "qcow2", "rootfs"]),
)
states = st.lists(
    st.tuples(
        st.booleans(),
        st.sampled_from(["a", "b"]),
        st.sampled_from([frozenset({"qcow2"}), frozenset({"rootfs"})]),
    ),
    max_size=6,
)


@pytest.mark.parametrize("name", ["chance", "filter"])
@given(states, specs, st.integers())
def test_every_host_is_chosen_or_refused_for_a_reason(
    name: str, raw: list[tuple[bool, str, frozenset[str]]], spec: RequestSpec, seed: int
) -> None:
    hosts = [
        host(f"h{number}", enabled=enabled, zone=zone, disk_formats=formats)
        for number, (enabled, zone, formats) in enumerate(raw)
    ]
    selection = make_scheduler(name).select(hosts, spec, Random(seed))
    chosen = {one.host for one in selection.hosts}
    refused = {refusal.host: refusal for refusal in selection.refusals}
    assert chosen | set(refused) == {one.host for one in hosts}
    assert len(selection.hosts) + len(selection.refusals) == len(hosts)
    for one in hosts:
        fits = all(FILTERS[filter_name](one, spec) is None for filter_name in FILTERS.names)
        assert (one.host in chosen) is fits
        if not fits:
            refusal = refused[one.host]
            assert FILTERS[refusal.filter](one, spec) == refusal.reason
            assert refusal.reason in selection.explanation


def test_explanation_counts_reasons_and_names_no_host() -> None:
    hosts = [host("secret1"), host("secret2"), host("secret3", zone="a", enabled=False)]
    selection = make_scheduler("filter").select(hosts, RequestSpec(availability_zone="a"), Random(1))
    assert selection.explanation == (
        "of 3 hosts with enough room none is suitable: 2 are not in availability zone a; 1 is disabled"
    )
    assert make_scheduler("chance").select([], RequestSpec(), Random(1)).explanation == (
        "there are no hosts with enough room"
    )


def test_only_enabled_filters_count() -> None:
    scheduler = make_scheduler("filter", Settings(enabled_filters=("ComputeFilter",)))
    assert scheduler.select([host()], RequestSpec(availability_zone="elsewhere"), Random(1)).hosts


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("best", Settings(), "no scheduler named best; there are chance, filter"),
        (
            "filter",
            Settings(enabled_filters=("JsonFilter",)),
            "no filter named JsonFilter; there are ComputeFilter",
        ),
        ("chance", Settings(enabled_filters=("JsonFilter",)), "no filter named JsonFilter"),
        (
            "filter",
            Settings(multipliers={"IoWeigher": 1.0}),
            "no weigher named IoWeigher; there are RAMWeigher",
        ),
    ],
)
def test_unknown_names(name: str, settings: Settings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_scheduler(name, settings)


def test_plug_ins_register_by_name() -> None:
    registry: Registry[int] = Registry("number")
    registry.register("one")(1)
    assert (registry["one"], registry.names, registry.chosen(["one"])) == (1, ("one",), [("one", 1)])
    with pytest.raises(ValueError, match="named one already"):
        registry.register("one")(2)
    assert SCHEDULERS.names == ("chance", "filter")


def test_it_takes_as_long_as_there_are_hosts() -> None:
    hosts = [host(f"h{number}", free_memory_mib=number) for number in range(4_000)]
    scheduler, spec = make_scheduler("filter"), RequestSpec(availability_zone="nova", disk_format="qcow2")
    assert scheduler.select(hosts, spec, Random(1)).hosts[0].host == "h3999"
    few = least_seconds(lambda: scheduler.select(hosts[:250], spec, Random(1)), 10)
    assert least_seconds(lambda: scheduler.select(hosts, spec, Random(1))) < 4 * 16 * few
