"""Near devices first, and none left out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.lib.ring import Builder, Ring
from pileus.lib.ring.affinity import everywhere, locality, nearest_first, nearness
from pileus.lib.ring.device import Device


def ring() -> Ring:
    builder = Builder(6, 3)
    for number in range(12):
        builder.add(
            region=1 + number % 3, zone=number % 2, ip=f"10.0.0.{number}", port=1, device="d", weight=1
        )
    builder.rebalance(1, 1e9)
    return builder.ring()


RING = ring()


def device(region: int, zone: int) -> Device:
    return Device(id=0, region=region, zone=zone, ip="10.0.0.1", port=1, device="d", weight=1)


def test_the_nearest_rule_that_fits_decides() -> None:
    near = nearness("r1=100, r2z3=50, r1z2=10, r2=300")
    assert [near(device(*place)) for place in ((1, 1), (1, 2), (2, 3), (2, 1))] == [100, 10, 50, 300]
    assert near(device(9, 1)) > 300
    assert nearness(" ")(device(1, 1)) == nearness("")(device(2, 2))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 63), st.lists(st.tuples(st.integers(1, 4), st.integers(0, 9)), min_size=1, max_size=4))
def test_readers_go_to_the_nearest_and_then_in_order(partition: int, ranks: list[tuple[int, int]]) -> None:
    near = nearness(", ".join(f"r{region}={rank}" for region, rank in ranks))
    devices = [*RING.primaries(partition), *RING.handoffs(partition)]
    ordered = nearest_first(devices, near)
    assert [near(each) for each in ordered] == sorted(near(each) for each in devices)
    for rank in {near(each) for each in devices}:
        assert [e for e in ordered if near(e) == rank] == [e for e in devices if near(e) == rank]


@pytest.mark.parametrize("text", ["r1", "z1=3", "r1=x", "r1=1,", "r1 z2=3"])
def test_what_is_no_nearness(text: str) -> None:
    with pytest.raises(ValueError, match="is no place"):
        nearness(text)


def test_a_place_of_ones_own() -> None:
    here = locality("r1, r2z3")
    assert [here(device(*place)) for place in ((1, 0), (1, 9), (2, 3), (2, 0))] == [True, True, True, False]
    assert locality("") is everywhere


@pytest.mark.parametrize("text", ["r1=3", "z1", "r1,", "here"])
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(ValueError, match="is no place"):
        locality(text)
