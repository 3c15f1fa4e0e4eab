"""The OVN engine with real packets, between network namespaces that stand for guests and for the host."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from pileus.services.network.driver import FloatingIp
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
from tests.e2e.network.guests import fails
from tests.e2e.network.site import Site, outside

pytestmark = pytest.mark.host

OPEN = (new_rule("ingress"), new_rule("ingress", "IPv6"))


def test_a_network_carries_its_guests_and_no_others(site: Site) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            group = new_security_group(*OPEN)
            ours, theirs = new_network("10.0.0.0/24", "fd00::/64"), new_network("10.0.0.0/24", "fd00::/64")
            await cloud.declare(group, ours, theirs)
            first = await cloud.boot(
                new_port(ours, "10.0.0.5", "fd00::5", security_group_ids=(group.id,)), ours
            )
            second = await cloud.boot(
                new_port(ours, "10.0.0.6", "fd00::6", security_group_ids=(group.id,)), ours
            )
            twin = await cloud.boot(new_port(theirs, "10.0.0.6", security_group_ids=(group.id,)), theirs)
            alone = await cloud.boot(new_port(theirs, "10.0.0.7", security_group_ids=(group.id,)), theirs)
            async with second.serve(80), second.serve(81, "::"), alone.serve(80), twin.serve(82):
                assert await first.reaches("10.0.0.6")
                assert await first.reaches("fd00::6")
                assert await first.ask("10.0.0.6", 80) == "10.0.0.5"
                assert await first.ask("fd00::6", 81) == "fd00::5"
                # The other project's twin has the same address and answers only there.
                assert await fails(
                    first.ask("10.0.0.6", 82, 1), first.ask("10.0.0.7", 80, 1), first.pings("10.0.0.7")
                )
                assert await alone.ask("10.0.0.6", 82) == "10.0.0.7"

    asyncio.run(story())


def test_a_large_packet_passes_whole(site: Site) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            group, network = new_security_group(*OPEN), new_network()
            await cloud.declare(group, network)
            first, second = [
                await cloud.boot(new_port(network, ip, security_group_ids=(group.id,)), network)
                for ip in ("10.0.0.5", "10.0.0.6")
            ]
            status, output = await first.run(
                "ping", "-c1", "-w30", "-Mdo", "-s1472", second.port.addresses[0].ip
            )
            assert status == 0, output

    asyncio.run(story())


def test_a_router_joins_networks_and_leads_out(site: Site) -> None:
    async def story() -> None:
        async with site.cloud() as cloud, outside(site) as neighbour:
            group = new_security_group(*OPEN)
            left, right = new_network("10.1.0.0/24"), new_network("10.2.0.0/24")
            outer = new_network("172.24.4.0/24", external=True)
            await cloud.declare(group, left, right, outer)
            await cloud.declare(new_router(left, right, gateway=new_gateway(outer, "172.24.4.5/24")))
            first = await cloud.boot(new_port(left, "10.1.0.5", security_group_ids=(group.id,)), left)
            second = await cloud.boot(new_port(right, "10.2.0.5", security_group_ids=(group.id,)), right)
            async with second.serve(80), neighbour.serve(80):
                assert await first.reaches("10.2.0.5")
                assert await first.ask("10.2.0.5", 80) == "10.1.0.5"
                assert await first.ask("172.24.4.200", 80) == "172.24.4.5"

    asyncio.run(story())


def test_a_floating_ip_leads_in(site: Site) -> None:
    async def story() -> None:
        async with site.cloud() as cloud, outside(site) as neighbour:
            group = new_security_group(*OPEN)
            inner, outer = new_network(), new_network("172.24.4.0/24", external=True)
            await cloud.declare(group, inner, outer)
            port = new_port(inner, "10.0.0.5", security_group_ids=(group.id,))
            other = new_port(inner, "10.0.0.6", security_group_ids=(group.id,))
            floating = FloatingIp(id=new_id(), floating_ip="172.24.4.9", fixed_ip="10.0.0.5", port_id=port.id)
            router = new_router(inner, gateway=new_gateway(outer, "172.24.4.5/24"), floating_ips=(floating,))
            await cloud.declare(router)
            guest, sibling = await cloud.boot(port, inner), await cloud.boot(other, inner)
            async with guest.serve(80), neighbour.serve(80):
                assert await site.machine.ask("172.24.4.9", 80) == "172.24.4.1"
                assert await site.machine.reaches("172.24.4.9")
                assert await neighbour.ask("172.24.4.9", 80) == "172.24.4.200"
                assert await guest.ask("172.24.4.200", 80) == "172.24.4.9"
                assert await sibling.ask("172.24.4.200", 80) == "172.24.4.5"
                assert await sibling.ask("172.24.4.9", 80) == "172.24.4.5"
            await cloud.engine.ensure_router(new_router(id=router.id, gateway=router.gateway), 2)

            async def is_gone() -> bool:
                return not await site.machine.pings("172.24.4.9", 0.2)

            await until(is_gone)

    asyncio.run(story())


def test_a_guest_reaches_no_service_of_the_host(site: Site) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            group = new_security_group(*OPEN)
            inner = new_network("10.0.0.0/24")
            outer = new_network("172.24.4.0/24", "fd99::/64", external=True)
            await cloud.declare(group, inner, outer)
            port = new_port(inner, "10.0.0.5", security_group_ids=(group.id,))
            floating = FloatingIp(id=new_id(), floating_ip="172.24.4.9", fixed_ip="10.0.0.5", port_id=port.id)
            gateway = new_gateway(outer, "172.24.4.5/24", "fd99::5/64")
            await cloud.declare(new_router(inner, gateway=gateway, floating_ips=(floating,)))
            guest = await cloud.boot(port, inner)
            direct = new_port(outer, "172.24.4.77", "fd99::77", security_group_ids=(group.id,))
            insider = await cloud.boot(direct, outer)
            host = site.machine
            # An address that the host has elsewhere is no way around.
            await host.ip("address", "replace", "192.0.2.1/32", "dev", "lo")
            async with host.serve(80), host.serve(81, "::"), insider.serve(80), guest.serve(80):
                for who in (guest, insider):
                    assert await who.reaches("172.24.4.1")
                    assert await fails(
                        who.ask("172.24.4.1", 80, 1), who.ask("192.0.2.1", 80, 1), who.pings("192.0.2.1")
                    )
                assert await fails(insider.ask("fd99::1", 81, 1))
                assert await insider.reaches("fd99::1")
                assert await host.ask("172.24.4.77", 80) == "172.24.4.1"
                assert await host.ask("172.24.4.9", 80) == "172.24.4.1"
                assert await host.reaches("fd99::77")

    asyncio.run(story())


def test_the_host_answers_no_address_that_is_elsewhere_to_it(site: Site) -> None:
    """Its answer would leave by the default route: out of the cloud."""

    async def story() -> None:
        async with site.cloud() as cloud:
            group = new_security_group(*OPEN)
            inner = new_network("10.0.0.0/24", "fd00:1::/64")
            outer = new_network("172.24.4.0/24", "fd99::/64", external=True)
            await cloud.declare(group, inner, outer)
            gateway = new_gateway(outer, "172.24.4.5/24", "fd99::5/64")
            untranslated = msgspec.structs.replace(gateway, enable_snat=False)
            await cloud.declare(new_router(inner, gateway=untranslated))
            port = new_port(inner, "10.0.0.5", "fd00:1::5", security_group_ids=(group.id,))
            guest = await cloud.boot(port, inner)
            host = site.machine
            # The way back that the host lacks, so that an answer would arrive.
            _, shown = await host.run("ip", "-json", "route", "show", "proto", "kernel", "172.24.4.0/24")
            link = json.loads(shown)[0]["dev"]
            await host.ip("route", "replace", "10.0.0.0/24", "via", "172.24.4.5", "dev", link)
            await host.ip("route", "replace", "fd00:1::/64", "via", "fd99::5", "dev", link)
            try:
                for address in ("10.0.0.5", "fd00:1::5"):
                    assert await host.reaches(address)
                assert await fails(guest.pings("172.24.4.1"), guest.pings("fd99::1"))
            finally:
                await host.ip("route", "del", "10.0.0.0/24")
                await host.ip("-6", "route", "del", "fd00:1::/64")

    asyncio.run(story())


def test_what_got_lost_is_made_again(site: Site) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            group, network = new_security_group(*OPEN), new_network()
            await cloud.declare(group, network)
            first, second = [
                await cloud.boot(new_port(network, ip, security_group_ids=(group.id,)), network)
                for ip in ("10.0.0.5", "10.0.0.6")
            ]
            assert await first.reaches("10.0.0.6")
            tool = ("ovn-nbctl", f"--db=unix:{site.directory}/db.sock")
            for damage in (
                ("lsp-del", second.port.id),
                ("acl-del", f"pg_{group.id.replace('-', '_')}"),
                ("set", "logical_switch_port", first.port.id, "addresses=unknown"),
            ):
                status, output = await site.machine.run(*tool, *damage)
                assert status == 0, output

            async def is_cut_off() -> bool:
                return not await first.pings("10.0.0.6", 0.3)

            await until(is_cut_off)
            await cloud.engine.ensure_security_group(group, 1)
            for guest in (first, second):
                await cloud.engine.ensure_port(guest.port, 1)
            assert await first.reaches("10.0.0.6")

    asyncio.run(story())
