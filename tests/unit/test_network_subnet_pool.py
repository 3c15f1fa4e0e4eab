"""What subnet pools give, against a search by hand."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.kernel.errors import BadRequest
from pileus.services.network.domain import subnet_pool as domain


def _cidrs(base: str, lengths: range) -> st.SearchStrategy[str]:
    """CIDRs within a /24."""

    def make(length: int, number: int) -> str:
        return str(ipaddress.ip_network((f"{base}{number}", length), strict=False))

    return st.builds(make, st.sampled_from(lengths), st.integers(0, 255))


SOME = st.lists(_cidrs("10.0.0.", range(24, 33)), min_size=1, max_size=6)


def _addresses(cidrs: list[str]) -> set[int]:
    return {int(each) for cidr in cidrs for each in ipaddress.ip_network(cidr)}


@given(SOME, SOME, st.integers(24, 32))
def test_a_free_prefix_is_found_where_there_is_one_and_in_the_smallest_hole(
    prefixes: list[str], taken: list[str], length: int
) -> None:
    free = _addresses(prefixes) - _addresses(taken)
    fitting = [
        str(each)
        for each in ipaddress.ip_network("10.0.0.0/24").subnets(new_prefix=length)
        if {int(address) for address in each} <= free
    ]
    found = domain.next_free(prefixes, taken, length)
    assert (found in fitting) if fitting else found is None


def test_large_holes_stay_whole() -> None:
    assert domain.next_free(["10.0.0.0/16"], ["10.0.0.0/24"], 24) == "10.0.1.0/24"
    assert domain.next_free(["10.0.0.0/16", "10.9.0.0/24"], [], 24) == "10.9.0.0/24"
    assert domain.next_free(["fd00::/48"], ["fd00::/64"], 64) == "fd00:0:0:1::/64"


@given(SOME)
def test_prefixes_are_as_few_as_possible(prefixes: list[str]) -> None:
    version, few = domain.compacted(prefixes)
    assert version == 4
    assert _addresses(few) == _addresses(prefixes)
    assert len(few) <= len(set(prefixes))
    assert domain.compacted(few) == (4, few)


@given(SOME, SOME)
def test_what_is_left(prefixes: list[str], removed: list[str]) -> None:
    left = domain.without(prefixes, removed)
    assert _addresses(left) == _addresses(prefixes) - _addresses(removed)
    assert all(domain.covers(prefixes, each) or len(prefixes) > 1 for each in left)


@pytest.mark.parametrize("wanted", [[], ["10.0.0.0/8", "fd00::/48"], ["10.0.0.1/8"], ["nonsense"]])
def test_what_is_no_pool(wanted: list[str]) -> None:
    with pytest.raises(BadRequest):
        domain.compacted(wanted)


def test_lengths_go_together() -> None:
    assert domain.checked_bounds(4, None, None, None) == domain.Bounds(8, 32, 8)
    assert domain.checked_bounds(6, None, 96, None) == domain.Bounds(64, 96, 64)
    for wrong in ((4, 8, 33, 24), (4, 25, 24, None), (4, 20, 28, 29), (4, 20, 28, 19)):
        with pytest.raises(BadRequest, match="Illegal prefix bounds"):
            domain.checked_bounds(*wrong)


def test_quotas_count_addresses_and_slash_64s() -> None:
    assert domain.units(["10.0.0.0/24", "10.1.0.0/30"], 4) == 260
    assert domain.units(["fd00::/63", "fd01::/80"], 6) == 3
