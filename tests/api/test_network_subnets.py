"""Subnets: what can be one, which lie beside each other, what their network carries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.network_cloud import NetworkCloud, network_cloud

GOOD: dict[str, Any] = {"ip_version": 4, "cidr": "10.0.0.0/24"}
V6: dict[str, Any] = {"ip_version": 6, "cidr": "fd00::/64"}


@pytest.fixture
async def cloud() -> AsyncIterator[NetworkCloud]:
    async with network_cloud() as running:
        yield running


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({**GOOD, "gateway_ip": None}, 201),
        ({**GOOD, "gateway_ip": "10.0.0.254"}, 201),
        ({**GOOD, "gateway_ip": "10.0.0.0"}, 400),
        ({**GOOD, "gateway_ip": "fd00::1"}, 400),
        ({**GOOD, "cidr": "10.0.0.5/24"}, 400),
        ({**GOOD, "cidr": "10.0.0.0"}, 400),
        ({**GOOD, "cidr": "0.0.0.0/0"}, 400),
        ({**GOOD, "cidr": "224.0.0.0/24"}, 400),
        ({**GOOD, "cidr": "10.0.0.0/31"}, 400),
        ({**GOOD, "cidr": "10.0.0.0/31", "enable_dhcp": False}, 201),
        ({**GOOD, "cidr": "fd00::/64"}, 400),
        ({**GOOD, "ip_version": 5}, 400),
        ({"ip_version": 4}, 400),
        ({**GOOD, "prefixlen": 24}, 400),
        ({**GOOD, "subnetpool_id": "x"}, 400),
        ({**GOOD, "allocation_pools": [{"start": "10.0.0.10", "end": "10.0.0.20"}]}, 201),
        ({**GOOD, "allocation_pools": [{"start": "10.0.0.20", "end": "10.0.0.10"}]}, 400),
        ({**GOOD, "allocation_pools": [{"start": "10.0.0.1", "end": "10.0.0.10"}]}, 409),
        ({**GOOD, "allocation_pools": [{"start": "10.0.1.1", "end": "10.0.1.10"}]}, 400),
        ({**GOOD, "allocation_pools": [{"start": f"10.0.0.{n}", "end": "10.0.0.9"} for n in (2, 5)]}, 409),
        ({**GOOD, "dns_nameservers": ["x"]}, 400),
        ({**GOOD, "dns_nameservers": ["9.9.9.9", "9.9.9.9"]}, 400),
        ({**GOOD, "host_routes": [{"destination": "10.1.0.0/16", "nexthop": "fd00::1"}]}, 400),
        ({**GOOD, "host_routes": [{"destination": "10.1.0.0/16"}]}, 400),
        ({**GOOD, "ipv6_ra_mode": "slaac"}, 400),
        ({**GOOD, "service_types": ["compute:nova"]}, 201),
        ({**V6, "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}, 201),
        ({**V6, "ipv6_ra_mode": "slaac", "ipv6_address_mode": "dhcpv6-stateful"}, 400),
        ({**V6, "ipv6_ra_mode": "sometimes"}, 400),
        ({**V6, "ipv6_ra_mode": "slaac", "enable_dhcp": False}, 400),
        ({**V6, "cidr": "fd00::/80", "ipv6_address_mode": "slaac"}, 400),
        ({**V6, "cidr": "fd00::/80", "ipv6_address_mode": "dhcpv6-stateful"}, 201),
        ({**V6, "gateway_ip": "fe80::1"}, 201),
    ],
)
async def test_subnets(cloud: NetworkCloud, more: dict[str, Any], status: int) -> None:
    network = await cloud.make("network")
    reply = await cloud.post("/subnets", {"subnet": {"network_id": network["id"], **more}}, status=status)
    assert ("subnet" in reply) is (status == 201)


async def test_subnets_of_a_network_do_not_overlap(cloud: NetworkCloud) -> None:
    network = await cloud.network("10.0.0.0/24")
    body = {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.128/25"}
    error = await cloud.post("/subnets", {"subnet": body}, status=400)
    assert "overlaps with another subnet" in error["NeutronError"]["message"]
    await cloud.network("10.0.0.0/24")  # another network may have the same
    path = f"/subnets/{network['subnets'][0]}"
    pools = {"allocation_pools": [{"start": "10.0.0.2", "end": "10.0.0.9"}]}
    assert (await cloud.put(path, {"subnet": pools}))["subnet"]["allocation_pools"] == pools[
        "allocation_pools"
    ]
    assert (await cloud.put(path, {"subnet": {"gateway_ip": "10.0.0.5"}}, status=409))["NeutronError"][
        "type"
    ] == ("GatewayConflictWithAllocationPools")
    assert (await cloud.put(path, {"subnet": {"gateway_ip": "10.0.0.99"}}))["subnet"][
        "gateway_ip"
    ] == "10.0.0.99"
    await cloud.put(path, {"subnet": {"cidr": "10.0.0.0/16"}}, status=400)


async def test_an_mtu_must_do_for_the_subnets(cloud: NetworkCloud) -> None:
    network = await cloud.make("network", mtu=67)
    v4 = {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.0/24"}
    v6 = {"network_id": network["id"], "ip_version": 6, "cidr": "fd00::/64"}
    await cloud.post("/subnets", {"subnet": v4}, status=409)
    await cloud.put(f"/networks/{network['id']}", {"network": {"mtu": 1279}})
    await cloud.post("/subnets", {"subnet": v4})
    await cloud.post("/subnets", {"subnet": v6}, status=409)
    await cloud.put(f"/networks/{network['id']}", {"network": {"mtu": 67}}, status=409)
    shown = (await cloud.get("/subnets?shared=False"))["subnets"]
    assert len(shown) == 1
