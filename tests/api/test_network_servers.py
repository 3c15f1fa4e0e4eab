"""Servers hear of it when their ports' addresses change."""

from __future__ import annotations

from typing import Any

import pytest

from pileus.testing.service import ADMIN
from pileus.testing.waiting import until
from tests.network_cloud import HOST, NetworkCloud, network_cloud

SERVER = "5e57e500-0000-4000-8000-000000000001"


class Listening:
    """Hears every change the second time it is told: the first call is lost."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self._lost = 0

    async def changed(self, server_id: str, port_id: str) -> None:
        self._lost += 1
        if self._lost % 2:
            raise ConnectionError("nobody there")
        self.heard.append((server_id, port_id))


async def _server_port(cloud: NetworkCloud, network: Any) -> Any:
    more = {"device_id": SERVER, "device_owner": "compute:nova", "more": {"binding:host_id": HOST}}
    return await cloud.make("port", as_=ADMIN, network_id=network["id"], **more)


@pytest.mark.slow
async def test_floating_ips_that_come_and_go_and_fixed_ones_that_change() -> None:
    listening = Listening()
    async with network_cloud(servers=listening) as cloud:
        external = await cloud.external()
        network = await cloud.network()
        gateway = {"network_id": external["id"]}
        router = await cloud.make("router", external_gateway_info=gateway)
        await cloud.put(f"/routers/{router['id']}/add_router_interface", {"subnet_id": network["subnets"][0]})
        port = await _server_port(cloud, network)
        expected: list[tuple[str, str]] = []

        async def told() -> None:
            expected.append((SERVER, port["id"]))
            await until(lambda: listening.heard == expected)

        floating = await cloud.make("floatingip", as_=ADMIN, floating_network_id=external["id"])
        path = f"/floatingips/{floating['id']}"
        await cloud.put(path, {"floatingip": {"port_id": port["id"]}}, as_=ADMIN)
        await told()
        await cloud.put(path, {"floatingip": {"port_id": None}}, as_=ADMIN)
        await told()
        await cloud.put(path, {"floatingip": {"port_id": port["id"]}}, as_=ADMIN)
        await told()
        await cloud.delete(path, as_=ADMIN)
        await told()
        elsewhere = {"fixed_ips": [{"subnet_id": network["subnets"][0]}]}
        await cloud.put(f"/ports/{port['id']}", {"port": elsewhere}, as_=ADMIN)
        await told()
        # What no address hangs on is nobody's business.
        await cloud.put(f"/ports/{port['id']}", {"port": {"name": "renamed"}}, as_=ADMIN)
        await cloud.put(
            f"/ports/{port['id']}", {"port": {"mac_address": "fa:16:3e:00:00:07"}}, as_=ADMIN, status=409
        )
        assert listening.heard == expected
