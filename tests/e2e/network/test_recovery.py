"""What holds when the engine's daemons die, the host restarts, or the cloud is taken down."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from pileus.drivers.network.ovn.daemons import Stack
from pileus.services.network.driver import FloatingIp, NetworkError
from pileus.testing import footprint
from pileus.testing.network import (
    new_gateway,
    new_id,
    new_network,
    new_port,
    new_router,
    new_rule,
    new_security_group,
)
from pileus.testing.waiting import until
from tests.e2e.network.guests import HOST
from tests.e2e.network.site import Site

pytestmark = pytest.mark.host

DAEMONS = ("ovsdb-server", "ovs-vswitchd", "ovn-northd", "ovn-controller")


def stack_of(site: Site) -> Stack:
    return Stack(site.directory, HOST, "public")


def kill(site: Site, *names: str) -> None:
    for daemon in stack_of(site).daemons:
        if daemon.name in names:
            pid = daemon.pid()
            assert pid is not None
            process = os.pidfd_open(pid)
            os.kill(pid, signal.SIGKILL)
            select.select([process], [], [], 10)
            os.close(process)


async def until_all_run(site: Site, *, others_than: set[int]) -> None:
    async def run() -> bool:
        pids = {daemon.pid() for daemon in stack_of(site).daemons}
        return None not in pids and not pids & others_than

    await until(run)


@pytest.mark.parametrize("names", [(name,) for name in DAEMONS] + [DAEMONS], ids=" ".join)
@pytest.mark.parametrize("while_pileus_runs", [True, False], ids=["supervised", "restarted"])
def test_traffic_flows_again_after_a_death(
    site: Site, names: tuple[str, ...], while_pileus_runs: bool
) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            group, inner = new_security_group(new_rule("ingress")), new_network()
            outer = new_network("172.24.4.0/24", external=True)
            await cloud.declare(group, inner, outer)
            port = new_port(inner, "10.0.0.5", security_group_ids=(group.id,))
            other = new_port(inner, "10.0.0.6", security_group_ids=(group.id,))
            floating = FloatingIp(id=new_id(), floating_ip="172.24.4.9", fixed_ip="10.0.0.5", port_id=port.id)
            gateway = new_gateway(outer, "172.24.4.5/24")
            await cloud.declare(new_router(inner, gateway=gateway, floating_ips=(floating,)))
            guest, sibling = await cloud.boot(port, inner), await cloud.boot(other, inner)
            assert await site.machine.reaches("172.24.4.9")
            dead = {daemon.pid() for daemon in stack_of(site).daemons if daemon.name in names}
            if while_pileus_runs:
                kill(site, *names)
            else:
                await cloud.engine.close()
                kill(site, *names)
                await cloud.engine.start()
            await until_all_run(site, others_than={pid for pid in dead if pid is not None})
            assert await sibling.reaches("10.0.0.5")
            assert await site.machine.reaches("172.24.4.9")
            async with site.machine.serve(80):
                assert await guest.ask("172.24.4.1", 80, 1) is None
            await until(lambda: cloud.engine.is_up(port.id))
            late = await cloud.boot(new_port(inner, "10.0.0.7", security_group_ids=(group.id,)), inner)
            assert await late.reaches("10.0.0.5")

    asyncio.run(story())


def test_a_restarted_host_has_the_same_network_again(site_alone: Site) -> None:
    """The daemons are gone, and with /run the namespaces and all links; only the files are left."""

    async def story(site: Site) -> None:
        network, group = new_network(), new_security_group(new_rule("ingress"))
        async with site.cloud() as cloud:
            await cloud.engine.ensure_network(network, 1)
            await cloud.engine.ensure_security_group(group, 1)
            held = await cloud.engine.inventory()
            first = await cloud.boot(new_port(network, "10.0.0.9", security_group_ids=(group.id,)), network)
            assert "10.0.0.9" in (await first.run("ip", "address"))[1]
        restart(site)
        async with site.cloud() as cloud:
            assert await cloud.engine.inventory() == held
            guests = [
                await cloud.boot(new_port(network, ip, security_group_ids=(group.id,)), network)
                for ip in ("10.0.0.5", "10.0.0.6")
            ]
            assert await guests[0].reaches("10.0.0.6")
            assert await site.machine.reaches("172.24.4.1")

    asyncio.run(story(site_alone))


def restart(site: Site) -> None:
    stack = stack_of(site)
    kill(site, *DAEMONS)
    for name in (stack.netns, stack.metadata_netns):
        subprocess.run(["ip", "netns", "del", name], check=True)
        # A container's restart may leave the bare names.
        Path("/run/netns", name).touch()
    with contextlib.suppress(subprocess.CalledProcessError):
        link = ["ip", "-n", site.machine.netns, "link", "del", f"pil-{stack.digest}"]
        subprocess.run(link, check=True, capture_output=True)


def test_teardown_leaves_nothing(site_alone: Site) -> None:
    async def story(site: Site) -> None:
        stack = stack_of(site)
        async with site.cloud() as cloud:
            network = new_network()
            await cloud.declare(network)
            await cloud.boot(new_port(network, "10.0.0.5"), network)
            pids = {daemon.pid() for daemon in stack.daemons}
            assert None not in pids
            assert f"pil-{stack.digest}" in (await site.machine.run("ip", "link"))[1]
            await cloud.engine.teardown()
            assert not [pid for pid in pids if pid and footprint.is_alive(pid)]
            assert not [name for name in os.listdir("/run/netns") if stack.digest in name]
            assert stack.digest not in (await site.machine.run("ip", "link"))[1]
            for version in ("-4", "-6"):
                assert "172.24.4" not in (await site.machine.run("ip", version, "route"))[1]
                assert "fd99" not in (await site.machine.run("ip", version, "route"))[1]
            left = {path.name for path in site.directory.iterdir() if path.suffix != ".log"}
            assert left == {"nb.db"}
            await cloud.engine.teardown()
            await cloud.engine.start()
            assert (await cloud.engine.inventory()).networks == {network.id}

    asyncio.run(story(site_alone))


def test_packets_for_the_cloud_have_no_other_way(site_alone: Site) -> None:
    async def story(site: Site) -> None:
        link = f"pil-{stack_of(site).digest}"
        async with site.cloud():
            await site.machine.ip("link", "add", "uplink", "type", "veth", "peer", "name", "other")
            await site.machine.ip("link", "set", "other", "up")
            await site.machine.ip("link", "set", "uplink", "up")
            await site.machine.ip("address", "add", "198.51.100.2/24", "dev", "uplink")
            await site.machine.ip("route", "add", "default", "via", "198.51.100.1")

            async def way() -> str:
                return (await site.machine.run("ip", "route", "get", "172.24.4.9"))[1]

            assert f"dev {link}" in await way()
            await site.machine.ip("link", "set", link, "down")
            assert "uplink" not in await way()
            await site.machine.ip("link", "del", link)
            assert "uplink" not in await way()

    asyncio.run(story(site_alone))


def test_a_prefix_that_the_host_uses_already_is_refused(site_alone: Site) -> None:
    async def story(site: Site) -> None:
        await site.machine.ip("link", "add", "uplink", "type", "veth", "peer", "name", "other")
        await site.machine.ip("link", "set", "other", "up")
        await site.machine.ip("link", "set", "uplink", "up")
        await site.machine.ip("address", "add", "172.24.4.130/25", "dev", "uplink")
        with pytest.raises(NetworkError, match=r"172\.24\.4\.128/25 on uplink"):
            await site.new_engine().start()

    asyncio.run(story(site_alone))
