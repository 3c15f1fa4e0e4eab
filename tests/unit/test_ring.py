"""The ring builder's promises: balance, spread, little movement, the same for the same seed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.lib.ring import Builder, BuilderError, Ring
from pileus.lib.ring.plan import Plan
from pileus.lib.ring.report import disperse_report

HOUR = 3600.0
DAY = 24 * HOUR
POWER = 9

weights = st.sampled_from([50.0, 100.0, 100.0, 200.0])
zones = st.lists(
    st.lists(st.lists(weights, min_size=1, max_size=3), min_size=1, max_size=3), min_size=1, max_size=6
)
"""Zones of servers of devices."""


def build(layout: list[list[list[float]]], replicas: float, overload: float = 0.0) -> Builder:
    builder = Builder(POWER, replicas, min_part_hours=1, overload=overload)
    for zone, servers in enumerate(layout):
        for server, devices in enumerate(servers):
            for number, weight in enumerate(devices):
                builder.add(
                    zone=zone, ip=f"10.0.{zone}.{server}", port=6200, device=f"d{number}", weight=weight
                )
    return builder


def held(ring: Ring) -> Counter[int]:
    return Counter(id_ for row in ring.rows for id_ in row)


def within_one_percent(builder: Builder) -> None:
    """Every device has what the plan gives it."""
    plan, counted = builder._plan(), held(builder.ring())
    for leaf, device in plan.tiers.leaves.items():
        ideal = plan.wanted[leaf] * (sum(map(len, builder.ring().rows)) / builder.replicas)
        assert abs(counted[device.id] - ideal) <= max(0.01 * ideal, 2), (device, counted[device.id], ideal)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(zones, st.sampled_from([1, 2, 3, 3, 4, 2.5, 3.25]), st.sampled_from([0.0, 0.1, 10.0]))
def test_a_new_ring_is_balanced_and_spread(layout, replicas, overload):
    builder = build(layout, replicas, overload)
    done = builder.rebalance(seed=1, now=100 * DAY)
    assert done.moved == 0
    assert done.dispersion == 0
    within_one_percent(builder)
    if overload == 10.0 or builder.required_overload() <= overload:
        one_replica_a_zone(builder.ring())


def one_replica_a_zone(ring: Ring) -> None:
    """Where there are zones enough; otherwise each zone has one at least."""
    zones = {device.zone for device in ring.devices if device is not None and device.weight > 0}
    for partition in range(ring.partitions):
        replicas = sum(partition < len(row) for row in ring.rows)
        assert len({device.zone for device in ring.primaries(partition)}) == min(len(zones), replicas)


@pytest.mark.parametrize(
    ("layout", "replicas"),
    [([[[50.0]]], 2.5), ([[[100.0, 200.0]]], 2.5), ([[[200.0, 200.0], [100.0]]], 3.25)],
)
def test_partitions_without_the_last_replica_make_up_for_nothing(layout, replicas):
    """Room that a tier has left in them is no credit to set against others."""
    assert build(layout, replicas).rebalance(seed=1, now=DAY).dispersion == 0


def test_dispersion_counts_replicas_that_stand_too_close():
    """As Swift's report: each misplaced replica once, at the level that has most of them."""
    builder = build([[[1.0, 1.0]], [[1.0, 1.0]], [[2.0]], [[2.0]]], 4)
    builder.rebalance(1, DAY)
    ring = builder.ring()
    pairs = [
        next(d.id for d in ring.devices if d.zone == zone and d.device == f"d{n}")
        for zone, n in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    crowded = Ring([[id_] * ring.partitions for id_ in pairs], ring.devices, POWER)
    assert disperse_report(crowded, builder._plan()).percent == 50


@pytest.mark.slow
def test_devices_differ_by_less_than_a_percent_from_their_weights_share():
    builder = Builder(13, 3)
    for number, weight in enumerate([100.0, 100, 150, 200, 80, 120, 100, 90, 300, 110, 130, 95]):
        builder.add(zone=number % 4, ip=f"10.0.0.{number}", port=6200, device="d", weight=weight)
    builder.overload = max(0.0, builder.required_overload())
    assert builder.overload == 0, "weights allow the spread"
    assert builder.rebalance(seed=1, now=DAY).balance < 1
    builder.set_weight(3, 150)
    builder.add(zone=1, ip="10.0.0.99", port=6200, device="d", weight=120)
    while (done := builder.rebalance(seed=2, now=DAY * builder.version)).moved:
        pass
    assert done.balance < 1
    one_replica_a_zone(builder.ring())


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(zones, st.sampled_from([1, 2, 3, 3, 4, 2.5, 3.25]), st.sampled_from([0.0, 0.1, 10.0]), st.data())
def test_whatever_changed_it_ends_balanced_and_spread(layout, replicas, overload, data):
    builder = build(layout, replicas, overload)
    builder.rebalance(seed=1, now=100 * DAY)
    for day in range(data.draw(st.integers(1, 4))):
        there = st.sampled_from([device.id for device in builder.devices if device is not None])
        change = data.draw(st.sampled_from(["add", "weight", "remove"]))
        if change == "add":
            zone = data.draw(st.integers(0, 6))
            builder.add(zone=zone, ip=f"10.9.{day}.1", port=1, device="n", weight=data.draw(weights))
        elif change == "weight":
            builder.set_weight(data.draw(there), data.draw(weights))
        elif sum(device is not None for device in builder.devices) > 1:
            builder.remove(data.draw(there))
        builder.rebalance(seed=day, now=(101 + day) * DAY)
    for day in range(12):
        done = builder.rebalance(seed=day, now=(200 + day) * DAY)
        if not done.moved:
            break
    assert done.moved == 0, "it comes to rest"
    assert done.dispersion == 0
    within_one_percent(builder)
    if overload == 10.0:
        one_replica_a_zone(builder.ring())


def test_a_device_that_is_drained_leaves_the_others_alone():
    """The first device, whose id is 0, is one to go to as well."""
    builder = build([[[50.0, 100.0, 50.0]]], 1)
    builder.rebalance(seed=1, now=100 * DAY)
    held_by_it = builder.held()[2]
    builder.set_weight(2, 0.0)
    assert builder.rebalance(seed=2, now=101 * DAY).moved == held_by_it


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(zones, st.sampled_from([1, 2, 3]), st.sampled_from([0.0, 25.0, 100.0, 400.0]), st.data())
def test_a_changed_weight_moves_what_it_must_and_no_more(layout, replicas, weight, data):
    builder = build(layout, replicas)
    if len(builder.devices) < 2:
        return
    builder.rebalance(seed=1, now=100 * DAY)
    before = held(builder.ring())
    builder.set_weight(data.draw(st.integers(0, len(builder.devices) - 1)), weight)
    plan = builder._plan()
    least = surplus(before, plan)
    done = builder.rebalance(seed=2, now=101 * DAY)
    assert done.moved <= min(builder.partitions, least * 1.05 + 2 + crowding(before, builder, plan))


def surplus(before: Counter[int], plan: Plan) -> int:
    """Replicas on devices that ought to hold fewer: so many must move at least."""
    quotas = plan.quotas(sum(before.values()))
    return sum(max(0, before[plan.tiers.leaves[leaf].id] - quota) for leaf, quota in quotas.items())


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(zones, st.sampled_from([1, 2, 3]), st.integers(0, 5), weights)
def test_an_added_device_takes_its_share_and_no_more(layout, replicas, zone, weight):
    builder = build(layout, replicas)
    builder.rebalance(seed=1, now=100 * DAY)
    before = held(builder.ring())
    builder.add(zone=zone, ip=f"10.0.{zone}.99", port=6200, device="new", weight=weight)
    plan = builder._plan()
    least = surplus(before, plan)
    done = builder.rebalance(seed=2, now=101 * DAY)
    after = held(builder.ring())
    # Where the tiers' limits shrink, replicas must leave crowded tiers besides; each costs one move at most.
    assert done.moved <= min(builder.partitions, least * 1.05 + 2 + crowding(before, builder, plan))
    assert sum(after.values()) == sum(before.values())
    if replicas == 1:
        within_one_percent(builder)


def crowding(before: Counter[int], builder: Builder, plan: Plan) -> float:
    """How far tiers hold more than they ought to: what dispersion alone may move."""
    total = 0.0
    for level in range(3):
        sums: Counter[int] = Counter()
        for id_, count in before.items():
            sums[plan.tiers.path[id_][level]] += count
        total += sum(max(0.0, count - plan.wanted[node] * builder.partitions) for node, count in sums.items())
    return total


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(zones, st.sampled_from([1, 2, 3]), st.data())
def test_a_removed_device_is_empty_at_once_and_the_rest_stays(layout, replicas, data):
    builder = build(layout, replicas)
    if len(builder.devices) < 2:
        return
    builder.rebalance(seed=1, now=100 * DAY)
    before = builder.ring()
    gone = data.draw(st.integers(0, len(builder.devices) - 1))
    builder.remove(gone)
    with pytest.raises(BuilderError):
        builder.ring()
    done = builder.rebalance(seed=2, now=100 * DAY)  # no hour has passed: only what must moves
    after = builder.ring()
    assert after.devices[gone] is None
    lost = sum(any(row[p] == gone for row in before.rows) for p in range(before.partitions))
    assert done.moved >= lost
    for old, new in zip(before.rows, after.rows, strict=True):
        for partition, (was, is_) in enumerate(zip(old, new, strict=True)):
            if was != gone and was != is_:
                assert all(row[partition] != gone for row in before.rows)


def test_min_part_hours_hold_a_partition_still():
    builder = build([[[100.0]], [[100.0]], [[100.0]]], 2)
    builder.min_part_hours = 2
    builder.rebalance(seed=1, now=100 * DAY)
    builder.add(zone=7, ip="10.0.7.1", port=6200, device="x", weight=100)
    first = builder.rebalance(seed=2, now=101 * DAY)
    moved_once = builder.ring()
    builder.set_weight(0, 0)
    second = builder.rebalance(seed=3, now=101 * DAY + HOUR)
    still = builder.ring()
    assert first.moved
    assert second.moved
    assert held(still)[0] > 0, "what moved an hour ago stays"
    builder.rebalance(seed=4, now=102 * DAY)
    assert held(builder.ring())[0] == 0
    assert moved_once.version is not None
    assert builder.version > moved_once.version


def test_overload_trades_weight_for_spread():
    layout = [[[100.0]], [[100.0]], [[20.0]]]
    by_weight, spread = build(layout, 3), build(layout, 3, overload=5)
    by_weight.rebalance(1, DAY)
    spread.rebalance(1, DAY)
    zones = [{device.zone for device in spread.ring().primaries(p)} for p in range(spread.partitions)]
    assert all(found == {0, 1, 2} for found in zones)
    assert by_weight.required_overload() == spread.required_overload()


def test_replicas_come_and_go():
    builder = build([[[1.0], [1.0]], [[1.0], [1.0]]], 2)
    builder.rebalance(1, DAY)
    before = builder.ring()
    builder.set_replicas(3.5)
    builder.rebalance(1, 2 * DAY)
    assert builder.ring().replicas == 3.5
    builder.set_replicas(2)
    builder.rebalance(1, 3 * DAY)
    assert [len(row) for row in builder.ring().rows] == [len(row) for row in before.rows]


def test_the_same_seed_makes_the_same_ring_and_files_carry_all():
    rings = []
    for _ in range(2):
        builder = build([[[1.0, 2.0], [3.0]], [[1.0]], [[2.0, 2.0]]], 3)
        builder.rebalance(11, DAY)
        builder = Builder.load(builder.dump())
        builder.add(zone=2, ip="10.0.2.9", port=6200, device="z", weight=2)
        builder.rebalance(12, 2 * DAY)
        rings.append(builder.ring())
    assert rings[0].rows == rings[1].rows
    assert rings[0].devices == rings[1].devices


def test_the_report_counts_each_tier():
    builder = build([[[1.0]], [[1.0]]], 2)
    builder.rebalance(1, DAY)
    report = builder.dispersion()
    zones = [tier for tier in report.tiers if tier.level == "zone"]
    assert [(tier.allowed, tier.partitions, tier.too_many) for tier in zones] == [(1, (0, 512), 0)] * 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b.remove(9), "no device 9"),
        (lambda b: b.set_weight(0, -1), "not a share"),
        (lambda b: b.add(zone=1, ip="10.0.0.0", port=6200, device="d0", weight=1), "in the ring already"),
        (lambda b: b.set_replicas(0), "one at least"),
        (lambda b: b.ring(), "rebalance first"),
        (lambda b: Builder(33, 1), "outside of 0 to 32"),
        (lambda b: Builder.load(b"x"), "no builder file"),
        (lambda b: Builder(4, 1).rebalance(1, 1), "no device has a weight"),
    ],
)
def test_errors_say_why(change, words):
    builder = build([[[1.0]]], 1)
    with pytest.raises(BuilderError, match=words):
        change(builder)
