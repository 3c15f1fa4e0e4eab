"""Ranges of ids for containers."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.lib import id_ranges

EVERY_RANGE = [id_ranges.FIRST + index * id_ranges.LENGTH for index in range(id_ranges.COUNT)]


@given(guest_id=st.uuids().map(str), taken=st.sets(st.sampled_from(EVERY_RANGE)))
def test_what_is_chosen_is_a_free_range(guest_id: str, taken: set[int]) -> None:
    chosen = id_ranges.choose(guest_id, taken)
    assert chosen in EVERY_RANGE
    assert chosen not in taken
    assert chosen == id_ranges.choose(guest_id, taken)


def test_the_last_range_that_is_free_is_found() -> None:
    free = EVERY_RANGE[1234]
    assert id_ranges.choose(str(uuid.uuid4()), set(EVERY_RANGE) - {free}) == free


def test_when_all_are_taken_it_says_so() -> None:
    with pytest.raises(LookupError, match="all 2046 ranges"):
        id_ranges.choose(str(uuid.uuid4()), set(EVERY_RANGE))


def test_all_ranges_fit_below_the_ids_that_systemd_uses() -> None:
    assert EVERY_RANGE[-1] + id_ranges.LENGTH <= 2147352576
