"""Subnet pools, and subnets that are taken from them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from pileus.testing.service import ADMIN, MEMBER
from tests.network_cloud import OTHER, NetworkCloud, network_cloud


@pytest.fixture
async def cloud() -> AsyncIterator[NetworkCloud]:
    async with network_cloud() as running:
        yield running


async def take(cloud: NetworkCloud, pool_id: str | None, status: int = 201, **values: Any) -> Any:
    """A subnet of the pool on a network of its own; or what the refusal is called."""
    as_ = values.pop("as_", MEMBER)
    network = await cloud.make("network", as_=as_)
    body = {"network_id": network["id"], "ip_version": 4, "subnetpool_id": pool_id, **values}
    said = await cloud.post("/subnets", {"subnet": body}, status, as_=as_)
    return said["subnet"] if status == 201 else said["NeutronError"]["type"]


async def test_subnets_are_taken_in_turn_and_given_back(cloud: NetworkCloud) -> None:
    pool = await cloud.make(
        "subnetpool",
        name="p",
        prefixes=["10.8.1.0/24", "10.8.0.0/24"],
        default_prefixlen=26,
        min_prefixlen="24",
    )
    assert pool["prefixes"] == ["10.8.0.0/23"]
    assert (pool["min_prefixlen"], pool["default_prefixlen"], pool["max_prefixlen"]) == ("24", "26", "32")
    assert (pool["ip_version"], pool["shared"], pool["is_default"]) == (4, False, False)
    first, second = await take(cloud, pool["id"]), await take(cloud, pool["id"], prefixlen=24)
    assert (first["cidr"], first["subnetpool_id"], first["gateway_ip"]) == (
        "10.8.0.0/26",
        pool["id"],
        "10.8.0.1",
    )
    assert second["cidr"] == "10.8.1.0/24"
    assert (await take(cloud, pool["id"], cidr="10.8.0.128/26"))["cidr"] == "10.8.0.128/26"
    for refused, kind, values in (
        (409, "SubnetAllocationError", {"cidr": "10.8.0.128/28"}),
        (409, "SubnetAllocationError", {"cidr": "10.9.0.0/26"}),
        (409, "SubnetAllocationError", {"prefixlen": 25}),
        (400, "MinPrefixSubnetAllocationError", {"prefixlen": 23}),
        (400, "MaxPrefixSubnetAllocationError", {"prefixlen": 33}),
        (400, "InvalidInput", {"ip_version": 6}),
        (400, "HTTPBadRequest", {"cidr": "10.8.0.64/26", "prefixlen": 26}),
    ):
        assert await take(cloud, pool["id"], refused, **values) == kind, values
    refusal = await cloud.delete(f"/subnetpools/{pool['id']}", status=400)
    assert refusal["NeutronError"]["type"] == "SubnetPoolDeleteError"
    listed = (await cloud.get(f"/subnets?subnetpool_id={pool['id']}"))["subnets"]
    assert len(listed) == 3
    for subnet in listed:
        await cloud.delete(f"/subnets/{subnet['id']}")
    await cloud.delete(f"/subnetpools/{pool['id']}")
    await cloud.get(f"/subnetpools/{pool['id']}", status=404)


async def test_one_network_one_pool(cloud: NetworkCloud) -> None:
    pool = await cloud.make("subnetpool", name="p", prefixes=["10.8.0.0/16"], default_prefixlen=24)
    network = await cloud.network("10.9.0.0/24")
    body = {"network_id": network["id"], "ip_version": 4, "subnetpool_id": pool["id"]}
    refusal = await cloud.post("/subnets", {"subnet": body}, 400)
    assert refusal["NeutronError"]["type"] == "NetworkSubnetPoolAffinityError"
    # The other IP version is another matter.
    await cloud.make("subnet", network_id=network["id"], ip_version=6, cidr="fd00::/64")


async def test_prefixes_come_and_go(cloud: NetworkCloud) -> None:
    pool = await cloud.make("subnetpool", name="p", prefixes=["10.8.0.0/24"], default_prefixlen=26)
    path = f"/subnetpools/{pool['id']}"
    subnet = await take(cloud, pool["id"])
    added = await cloud.put(f"{path}/add_prefixes", {"prefixes": ["10.8.2.0/24", "10.8.1.0/24"]})
    assert added == {"prefixes": ["10.8.0.0/23", "10.8.2.0/24"]}
    assert await cloud.put(f"{path}/remove_prefixes", {"prefixes": ["10.8.1.0/24"]}) == {
        "prefixes": ["10.8.0.0/24", "10.8.2.0/24"]
    }
    refusal = await cloud.put(f"{path}/remove_prefixes", {"prefixes": [subnet["cidr"]]}, status=400)
    assert refusal["NeutronError"]["type"] == "IllegalSubnetPoolPrefixUpdate"
    for wrong, kind in (
        ({"prefixes": ["10.8.0.0/24"]}, "IllegalSubnetPoolPrefixUpdate"),
        ({"prefixes": ["fd00::/48"]}, "PrefixVersionMismatch"),
        ({"max_prefixlen": 7}, "IllegalSubnetPoolPrefixBounds"),
    ):
        refusal = await cloud.put(path, {"subnetpool": wrong}, status=400)
        assert refusal["NeutronError"]["type"] == kind
    changed = {"prefixes": ["10.8.0.0/16"], "name": "q", "max_prefixlen": "28"}
    shown = (await cloud.put(path, {"subnetpool": changed}))["subnetpool"]
    assert (shown["name"], shown["prefixes"], shown["max_prefixlen"]) == ("q", ["10.8.0.0/16"], "28")
    assert shown["revision_number"] == 3


async def test_shared_and_default_pools_are_the_administrators(cloud: NetworkCloud) -> None:
    for forbidden in ({"shared": True}, {"is_default": True}):
        body = {"subnetpool": {"name": "p", "prefixes": ["10.8.0.0/16"], **forbidden}}
        await cloud.post("/subnetpools", body, 403)
    own = await cloud.make("subnetpool", name="own", prefixes=["10.7.0.0/16"], default_prefixlen=24)
    assert await take(cloud, own["id"], 404, as_=OTHER) == "SubnetPoolNotFound"
    assert await take(cloud, None, 400, use_default_subnetpool=True) == "HTTPBadRequest"
    common = {"name": "all", "prefixes": ["10.8.0.0/16"], "default_prefixlen": 24, "default_quota": 300}
    pool = await cloud.make("subnetpool", as_=ADMIN, shared=True, is_default=True, **common)
    again = {"subnetpool": {**common, "is_default": True}}
    assert (await cloud.post("/subnetpools", again, 400, as_=ADMIN))["NeutronError"]["type"] == "InvalidInput"
    assert [each["name"] for each in (await cloud.get("/subnetpools", as_=OTHER))["subnetpools"]] == ["all"]
    assert (await take(cloud, None, use_default_subnetpool=True))["subnetpool_id"] == pool["id"]
    assert await take(cloud, pool["id"], 409) == "SubnetPoolQuotaExceeded"
    assert (await take(cloud, pool["id"], as_=OTHER))["cidr"] == "10.8.1.0/24"
    await cloud.put(f"/subnetpools/{pool['id']}", {"subnetpool": {"name": "mine"}}, status=403, as_=OTHER)
