"""169.254.169.254, asked by guests."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from pileus.drivers import vif
from pileus.testing.network import new_network, new_port, new_security_group
from tests.e2e.network.guests import Machine
from tests.e2e.network.site import Site

pytestmark = pytest.mark.host


def test_metadata_knows_who_asks(site: Site) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            # Not even a rule that lets it out.
            group = new_security_group(rules=())
            ours, theirs = new_network("10.0.0.0/24", "fd00::/64"), new_network("10.0.0.0/24")
            await cloud.declare(group, ours, theirs)
            port = new_port(ours, "10.0.0.5", "fd00::5", security_group_ids=(group.id,))
            twin_port = new_port(theirs, "10.0.0.5", security_group_ids=(group.id,))
            guest, twin = await cloud.boot(port, ours), await cloud.boot(twin_port, theirs)
            for who, network, own in ((guest, ours, port), (twin, theirs, twin_port)):
                await who.ip("route", "add", "169.254.169.254", "dev", "eth0")
                answer = await ask_metadata(who, "http://169.254.169.254/openstack")
                assert answer == {
                    "network_id": network.id,
                    "client_ip": "10.0.0.5",
                    "port_id": own.id,
                    "path": "/openstack",
                }
            answer = await ask_metadata(guest, "http://[fe80::a9fe:a9fe%eth0]/")
            assert (answer["network_id"], answer["port_id"]) == (ours.id, port.id)
            # Nothing else of that namespace answers.
            assert not await guest.pings("169.254.169.254")
            assert await guest.ask("169.254.169.254", 22, 1) is None

            # Another process over the same host answers too.
            await cloud.engine.close()
            async with site.cloud():
                assert (await ask_metadata(twin, "http://169.254.169.254/"))["port_id"] == twin_port.id
            await cloud.engine.start()

    asyncio.run(story())


def test_metadata_answers_the_heir_of_an_address(site: Site) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            group, network = new_security_group(rules=()), new_network("10.0.0.0/24")
            await cloud.declare(group, network)
            for _ in range(2):
                port = new_port(network, "10.0.0.5", security_group_ids=(group.id,))
                guest = await cloud.boot(port, network)
                await guest.ip("route", "add", "169.254.169.254", "dev", "eth0")
                assert (await ask_metadata(guest, "http://169.254.169.254/"))["port_id"] == port.id
                await vif.unplug(guest.nic)
                await cloud.engine.delete_port(port.id, 9)

    asyncio.run(story())


async def ask_metadata(machine: Machine, url: str) -> Any:
    status, output = await machine.run("curl", "-sS", "--max-time", "30", "-g", url)
    assert status == 0, output
    return json.loads(output)
