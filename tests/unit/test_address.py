"""Address arithmetic against brute force on small subnets, and at speed on large ones."""

from __future__ import annotations

import ipaddress
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pileus.lib.address import (
    AddressRange,
    GatewayInPool,
    PoolError,
    PoolInvalid,
    PoolOutOfBounds,
    PoolsOverlap,
    canonical_mac,
    capacity,
    check_pools,
    default_gateway,
    default_pools,
    eui64_address,
    first_overlap,
    new_mac,
    next_free,
    to_int,
    to_text,
    usable_range,
)
from pileus.testing.cost import least_seconds

small_v4 = st.builds(
    lambda base, prefix: str(ipaddress.ip_network((base, prefix), strict=False)),
    st.integers(0, 2**32 - 1),
    st.integers(24, 32),
)
small_v6 = st.builds(
    lambda base, prefix: str(ipaddress.ip_network((base, prefix), strict=False)),
    st.integers(2**64, 2**128 - 1),
    st.integers(120, 128),
)
small = st.one_of(small_v4, small_v6)


@st.composite
def pools_in(draw: st.DrawFn) -> list[AddressRange]:
    first = draw(st.integers(1, 2**31))
    pools = []
    for _ in range(draw(st.integers(1, 4))):
        first += draw(st.integers(0, 5))
        last = first + draw(st.integers(0, 9))
        pools.append(AddressRange(4, first, last))
        first = last + 1
    return draw(st.permutations(pools))


def every(pools: list[AddressRange]) -> list[int]:
    return [address for pool in pools for address in range(pool.first, pool.last + 1)]


@given(pools_in(), st.data())
def test_next_free_is_the_first_free_one_from_the_start(
    pools: list[AddressRange], data: st.DataObject
) -> None:
    addresses = every(pools)
    used = set(data.draw(st.lists(st.sampled_from(addresses)))) | {1, 2**32 - 1} - set(addresses)
    start = data.draw(st.integers(0, 3 * len(addresses)))
    turned = addresses[start % len(addresses) :] + addresses[: start % len(addresses)]
    expected = next((address for address in turned if address not in used), None)
    assert next_free(pools, used, start) == (None if expected is None else to_text(4, expected))


@given(pools_in())
def test_next_free_gives_each_address_once_and_then_none(pools: list[AddressRange]) -> None:
    given_out: set[int] = set()
    while (address := next_free(pools, given_out)) is not None:
        given_out.add(to_int(address))
    assert given_out == set(every(pools))
    assert len(given_out) == capacity(pools)
    assert next_free([], []) is None
    assert next_free([], [], 5) is None


@pytest.mark.parametrize("cidr", ["10.0.0.0/8", "2001:db8::/64", "2001:db8::/32"])
def test_large_subnets_take_no_longer_than_small_ones(cidr: str) -> None:
    def seconds(cidr: str) -> float:
        pools = default_pools(cidr, default_gateway(cidr))
        used = [pools[0].first + offset for offset in range(5_000)]
        assert next_free(pools, used) == to_text(pools[0].version, pools[0].first + 5_000)
        return least_seconds(lambda: next_free(pools, used), 10)

    assert seconds(cidr) < 10 * seconds("10.0.0.0/19")


@given(small, st.data())
def test_default_pools_are_all_usable_addresses_but_the_gateway(cidr: str, data: st.DataObject) -> None:
    network = ipaddress.ip_network(cidr)
    gateway = data.draw(st.one_of(st.none(), st.sampled_from(list(network))))
    pools = default_pools(cidr, None if gateway is None else str(gateway))
    expected = set(network)
    if network.num_addresses > 1:
        expected.discard(gateway)
        if network.version == 6 or network.num_addresses > 2:
            expected.discard(network.network_address)
        if network.version == 4 and network.num_addresses > 2:
            expected.discard(network.broadcast_address)
    assert {int(address) for address in expected} == set(every(pools))
    assert len(every(pools)) == len(expected)
    assume(network.num_addresses > 1)
    check_pools(cidr, pools, None if gateway is None else str(gateway))


def test_usable_ranges_of_note() -> None:
    assert str(usable_range("10.0.0.0/24")) == "10.0.0.1-10.0.0.254"
    assert str(usable_range("10.0.0.0/31")) == "10.0.0.0-10.0.0.1"
    assert str(usable_range("10.0.0.7/32")) == "10.0.0.7-10.0.0.7"
    assert str(usable_range("2001:db8::/126")) == "2001:db8::1-2001:db8::3"
    assert default_gateway("192.168.5.0/24") == "192.168.5.1"
    assert default_pools("10.0.0.0/24", "2001:db8::1") == [usable_range("10.0.0.0/24")]


@pytest.mark.parametrize(
    ("pools", "gateway", "error"),
    [
        ([("10.0.0.2", "10.0.0.9"), ("10.0.0.9", "10.0.0.20")], None, PoolsOverlap),
        ([("10.0.0.50", "10.0.0.90"), ("10.0.0.2", "10.0.0.100")], None, PoolsOverlap),
        ([("10.0.0.2", "10.0.1.9")], None, PoolOutOfBounds),
        ([("10.0.0.0", "10.0.0.9")], None, PoolOutOfBounds),
        ([("10.0.0.9", "10.0.0.255")], None, PoolOutOfBounds),
        ([("2001:db8::2", "2001:db8::3")], None, PoolOutOfBounds),
        ([("10.0.0.2", "10.0.0.9")], "10.0.0.5", GatewayInPool),
        ([("10.0.0.9", "10.0.0.2")], None, PoolInvalid),
        ([("10.0.0.9", "2001:db8::1")], None, PoolInvalid),
        ([("10.0.0.9", "10.0.0.999")], None, PoolInvalid),
    ],
)
def test_wrong_pools(pools: list[tuple[str, str]], gateway: str | None, error: type[PoolError]) -> None:
    with pytest.raises(error, match=r"10\.0\.0\.|2001:db8::"):
        check_pools("10.0.0.0/24", [AddressRange.parse(*pool) for pool in pools], gateway)


def test_right_pools() -> None:
    pools = [AddressRange.parse("10.0.0.20", "10.0.0.29"), AddressRange.parse("10.0.0.2", "10.0.0.9")]
    check_pools("10.0.0.0/24", pools, "10.0.0.1")
    check_pools("2001:db8::/64", [AddressRange.parse("2001:db8::2", "2001:db8::ffff")], "fe80::1")
    assert (pools[0].start, pools[0].end, pools[0].size) == ("10.0.0.20", "10.0.0.29", 10)


@given(st.integers(0, 2**128 - 1))
def test_text_and_integer_agree_with_the_standard_library(address: int) -> None:
    assert to_text(6, address) == str(ipaddress.IPv6Address(address))
    assert to_int(to_text(6, address)) == address
    assert to_int(str(ipaddress.IPv4Address(address % 2**32))) == address % 2**32


@pytest.mark.parametrize("text", ["", "10.0.0", "10.0.0.256", "::g", "10.0.0.1/24"])
def test_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is no IP address"):
        to_int(text)


@given(small, st.lists(small, max_size=5))
def test_first_overlap(cidr: str, others: list[str]) -> None:
    mine = set(ipaddress.ip_network(cidr))
    expected = next((other for other in others if mine & set(ipaddress.ip_network(other))), None)
    assert first_overlap(cidr, others) == expected


@pytest.mark.parametrize(
    ("cidr", "mac", "address"),
    [
        ("2001:db8::/64", "00:16:3e:33:44:55", "2001:db8::216:3eff:fe33:4455"),
        ("fe80::/64", "fa:16:3e:00:00:01", "fe80::f816:3eff:fe00:1"),
        ("2001:db8:1::/48", "FA-16-3E-AB-CD-EF", "2001:db8:1:0:f816:3eff:feab:cdef"),
    ],
)
def test_eui64(cidr: str, mac: str, address: str) -> None:
    assert eui64_address(cidr, mac) == address


@pytest.mark.parametrize("cidr", ["10.0.0.0/24", "2001:db8::/65"])
def test_eui64_needs_64_bits(cidr: str) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        eui64_address(cidr, "fa:16:3e:00:00:01")


@pytest.mark.parametrize(
    "mac", ["fa:16:3e:ab:cd:01", "FA:16:3E:AB:CD:01", "fa-16-3e-ab-cd-01", "fa163eabcd01", "fa16.3eab.cd01"]
)
def test_canonical_mac(mac: str) -> None:
    assert canonical_mac(mac) == "fa:16:3e:ab:cd:01"


@pytest.mark.parametrize(
    "mac", ["", "fa:16:3e:ab:cd", "fa:16:3e:ab:cd:0g", "fa:16:3e:ab:cd:01:02", "fa16:3eab:cd01"]
)
def test_no_mac(mac: str) -> None:
    with pytest.raises(ValueError, match="is no MAC"):
        canonical_mac(mac)


@given(st.integers(0, 2**32))
def test_new_mac_keeps_the_base_and_avoids_what_is_taken(seed: int) -> None:
    first = new_mac(random.Random(seed).randbytes)
    assert first.startswith("fa:16:3e:")
    assert canonical_mac(first) == first
    second = new_mac(random.Random(seed).randbytes, {first})
    assert second != first
    assert new_mac(random.Random(seed).randbytes, base="02:aa:bb:cc:00:00").startswith("02:aa:bb:cc:")


def test_new_mac_gives_up_when_all_is_taken() -> None:
    with pytest.raises(LookupError, match="set another base"):
        new_mac(lambda n: bytes(n), {"fa:16:3e:00:00:00"})
