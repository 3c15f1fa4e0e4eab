"""openstacksdk, unmodified, against the network service over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pileus.kernel.context import Context
from pileus.kernel.errors import Unauthorized
from pileus.kernel.http.server import Server
from pileus.testing.cloud import free_port
from pileus.testing.service import ADMIN
from pileus.testing.waiting import until
from tests.network_cloud import NetworkCloud, network_cloud


async def _one_token(token: str) -> Context:
    if token != "sesame":
        raise Unauthorized("wrong token")
    return ADMIN


@pytest.fixture
async def served() -> AsyncIterator[tuple[NetworkCloud, str]]:
    async with network_cloud() as cloud:
        cloud.served.runtime.authenticate = _one_token
        port = free_port()
        server = Server(cloud.served.application, "127.0.0.1", port)
        await server.start()
        try:
            yield cloud, f"http://127.0.0.1:{port}"
        finally:
            await server.stop()


def _play(url: str) -> dict[str, Any]:
    """What a client does on a usual day."""
    import openstack

    connection = openstack.connection.Connection(
        auth_type="admin_token",
        auth={"endpoint": f"{url}/networking", "token": "sesame"},
        network_endpoint_override=f"{url}/networking",
    )
    api = connection.network
    external = api.create_network(
        name="public",
        is_router_external=True,
        provider_network_type="flat",
        provider_physical_network="public",
    )
    api.create_subnet(network_id=external.id, ip_version=4, cidr="172.24.4.0/24", is_dhcp_enabled=False)
    network = api.create_network(name="private", mtu=1400)
    subnet = api.create_subnet(
        network_id=network.id, ip_version=4, cidr="10.0.0.0/24", dns_nameservers=["9.9.9.9"]
    )
    api.set_tags(network, ["blue"])
    router = api.create_router(name="r", external_gateway_info={"network_id": external.id})
    api.add_interface_to_router(router, subnet=subnet.id)
    router = api.add_extra_routes_to_router(
        router, body={"router": {"routes": [{"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"}]}}
    )
    group = api.create_security_group(name="web")
    rule = api.create_security_group_rule(
        security_group_id=group.id, direction="ingress", protocol="tcp", port_range_min=80, port_range_max=80
    )
    port = api.create_port(network_id=network.id, name="p", security_group_ids=[group.id])
    floating = api.create_ip(floating_network_id=external.id, port_id=port.id)
    port = api.update_port(port, description="mine")
    quota = api.get_quota(ADMIN.project_id, details=True)
    seen = {
        "found": api.find_network("private", ignore_missing=False).id == network.id,
        "by_tag": [each.id for each in api.networks(tags="blue")] == [network.id],
        "by_ip": [each.id for each in api.ports(fixed_ips=f"ip_address={port.fixed_ips[0]['ip_address']}")]
        == [port.id],
        "pages": len(list(api.ports(limit=1))),
        "routes": router.routes,
        "rule": (rule.protocol, rule.port_range_min),
        "floating": floating.port_id == port.id,
        "description": port.description,
        "networks_used": quota.networks["used"],
        "extension": api.find_extension("router").alias,
        "agents": [each.host for each in api.agents()],
        "zones": {each.name for each in api.availability_zones()},
        "group_rules": len(api.get_security_group(group.id).security_group_rules),
    }
    api.delete_ip(floating)
    api.delete_port(port)
    api.remove_extra_routes_from_router(
        router, body={"router": {"routes": [{"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"}]}}
    )
    api.remove_interface_from_router(router, subnet=subnet.id)
    api.delete_router(router)
    api.delete_security_group(group)
    api.delete_network(network)
    api.delete_network(external)
    seen["left"] = len(list(api.networks())) + len(list(api.ports())) + len(list(api.routers()))
    connection.close()
    return seen


async def test_openstacksdk_finds_what_it_expects(served: tuple[NetworkCloud, str]) -> None:
    cloud, url = served
    seen = await asyncio.to_thread(_play, url)
    assert seen == {
        "found": True,
        "by_tag": True,
        "by_ip": True,
        "pages": 4,
        "routes": [{"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"}],
        "rule": ("tcp", 80),
        "floating": True,
        "description": "mine",
        "networks_used": 2,
        "extension": "router",
        "agents": ["host-1"],
        "zones": {"nova"},
        "group_rules": 3,
        "left": 0,
    }
    await until(lambda: not cloud.world.networks and not cloud.world.routers and not cloud.world.ports)
