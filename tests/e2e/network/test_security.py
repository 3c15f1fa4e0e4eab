"""Security groups and port security against real packets."""

from __future__ import annotations

import asyncio
import socket

import msgspec
import pytest

from pileus.drivers import netns
from pileus.testing.network import (
    new_network,
    new_port,
    new_rule,
    new_security_group,
)
from pileus.testing.waiting import until
from tests.e2e.network.guests import fails
from tests.e2e.network.site import Site

pytestmark = pytest.mark.host

change = msgspec.structs.replace


@pytest.mark.parametrize("stateful", [True, False])
def test_a_group_lets_in_what_its_rules_say(site: Site, stateful: bool) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            network = new_network()
            rules = [new_rule("ingress", protocol="tcp", port_range_min=80, port_range_max=81)]
            rules.append(new_rule("ingress", protocol="icmp", port_range_min=8, port_range_max=0))
            replies = new_rule("ingress", protocol="tcp", port_range_min=32768, port_range_max=60999)
            web = new_security_group(*rules, stateful=stateful)
            client = new_security_group(*(() if stateful else (replies,)), stateful=stateful)
            await cloud.declare(network, web, client)
            server = await cloud.boot(new_port(network, "10.0.0.5", security_group_ids=(web.id,)), network)
            asker = await cloud.boot(new_port(network, "10.0.0.6", security_group_ids=(client.id,)), network)
            async with server.serve(80), server.serve(81), server.serve(82), asker.serve(80):
                assert await asker.ask("10.0.0.5", 80) == "10.0.0.6"
                assert await asker.ask("10.0.0.5", 81) == "10.0.0.6"
                assert await fails(asker.ask("10.0.0.5", 82, 1), server.ask("10.0.0.6", 80, 1))
                pinged = asker.reaches("10.0.0.5") if stateful else asker.pings("10.0.0.5")
                assert await pinged is stateful
                await cloud.engine.ensure_security_group(change(web, rules=web.rules[:2]), 2)

                async def is_shut() -> bool:
                    return await asker.ask("10.0.0.5", 80, 0.3) is None

                await until(is_shut)

    asyncio.run(story())


def test_a_new_group_lets_all_out_and_nothing_in(site: Site) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            network, group = new_network("10.0.0.0/24", "fd00::/64"), new_security_group()
            await cloud.declare(network, group)
            first, second = [
                await cloud.boot(new_port(network, *ips, security_group_ids=(group.id,)), network)
                for ips in (("10.0.0.5", "fd00::5"), ("10.0.0.6", "fd00::6"))
            ]
            free = await cloud.boot(
                new_port(network, "10.0.0.7", "fd00::7", port_security_enabled=False), network
            )
            async with second.serve(80), second.serve(81, "::"), free.serve(80), free.serve(81, "::"):
                for who in (first, free):
                    assert await fails(
                        who.ask("10.0.0.6", 80, 1),
                        who.ask("fd00::6", 81, 1),
                        who.pings("10.0.0.6"),
                        who.pings("fd00::6"),
                    )
                assert await first.ask("10.0.0.7", 80) == "10.0.0.5"
                assert await first.ask("fd00::7", 81) == "fd00::5"
                assert await first.reaches("fd00::7")

    asyncio.run(story())


def test_members_of_a_group_may_be_let_in(site: Site) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            network, friends = new_network(), new_security_group()
            inner = new_security_group(new_rule("ingress", remote_group_id=friends.id))
            await cloud.declare(network, friends, inner)
            server = await cloud.boot(new_port(network, "10.0.0.5", security_group_ids=(inner.id,)), network)
            friend = await cloud.boot(
                new_port(network, "10.0.0.6", security_group_ids=(friends.id,)), network
            )
            stranger = await cloud.boot(
                new_port(network, "10.0.0.7", security_group_ids=(inner.id,)), network
            )
            async with server.serve(80):
                assert await friend.ask("10.0.0.5", 80) == "10.0.0.6"
                assert await stranger.ask("10.0.0.5", 80, 1) is None
                await cloud.engine.ensure_port(
                    change(stranger.port, security_group_ids=(inner.id, friends.id)), 2
                )

                async def is_let_in() -> bool:
                    return await stranger.ask("10.0.0.5", 80, 1) == "10.0.0.7"

                await until(is_let_in)

    asyncio.run(story())


def test_a_group_may_hold_back_what_goes_out(site: Site) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            network = new_network()
            narrow = new_security_group(
                rules=(new_rule("egress", protocol="6", port_range_min=80, port_range_max=80),)
            )
            prefix = new_security_group(rules=(new_rule("egress", remote_ip_prefix="10.0.0.64/26"),))
            await cloud.declare(network, narrow, prefix)
            server = await cloud.boot(new_port(network, "10.0.0.5", port_security_enabled=False), network)
            far = await cloud.boot(new_port(network, "10.0.0.70", port_security_enabled=False), network)
            first = await cloud.boot(new_port(network, "10.0.0.6", security_group_ids=(narrow.id,)), network)
            second = await cloud.boot(new_port(network, "10.0.0.7", security_group_ids=(prefix.id,)), network)
            async with server.serve(80), server.serve(81), far.serve(80):
                assert await first.ask("10.0.0.5", 80) == "10.0.0.6"
                assert await fails(
                    first.ask("10.0.0.5", 81, 1), first.pings("10.0.0.5"), second.ask("10.0.0.5", 80, 1)
                )
                assert await second.ask("10.0.0.70", 80) == "10.0.0.7"

    asyncio.run(story())


def test_a_guest_speaks_only_for_itself(site: Site) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            network = new_network("10.0.0.0/24", "fd00::/64")
            group = new_security_group(new_rule("ingress"), new_rule("ingress", "IPv6"))
            await cloud.declare(network, group)
            port = new_port(network, "10.0.0.5", "fd00::5", security_group_ids=(group.id,))
            liar = await cloud.boot(port, network)
            peer = await cloud.boot(
                new_port(network, "10.0.0.6", "fd00::6", security_group_ids=(group.id,)), network
            )
            async with peer.serve(80), peer.serve(81, "::"):
                assert await liar.reaches("10.0.0.6")
                await liar.ip("address", "add", "10.0.0.99/24", "dev", "eth0")
                await liar.ip("address", "add", "fd00::99/64", "dev", "eth0", "nodad")
                assert await liar.reaches("10.0.0.6", "-I10.0.0.5")
                assert await fails(
                    liar.pings("10.0.0.6", 1, "-I10.0.0.99"), liar.pings("fd00::6", 1, "-Ifd00::99")
                )
                pair = change(
                    port, allowed_address_pairs=(("10.0.0.96/28", port.mac), ("fd00::99", port.mac))
                )
                await cloud.engine.ensure_port(pair, 2)
                assert await liar.reaches("10.0.0.6", "-I10.0.0.99")
                assert await liar.reaches("fd00::6", "-Ifd00::99")
                await liar.ip("link", "set", "eth0", "address", "fa:16:3e:ff:ff:ff")
                assert not await liar.pings("10.0.0.6", 1, "-I10.0.0.5")
                await cloud.engine.ensure_port(change(port, port_security_enabled=False), 3)
                await liar.ip("address", "add", "10.0.0.55/24", "dev", "eth0")
                assert await liar.reaches("10.0.0.6", "-I10.0.0.55")

    asyncio.run(story())


def test_a_guest_is_no_dhcp_server(site: Site) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            network = new_network("10.0.0.0/24", "fd00::/64")
            group = new_security_group(new_rule("ingress"), new_rule("ingress", "IPv6"))
            await cloud.declare(network, group)
            rogue, victim = [
                await cloud.boot(new_port(network, *ips, security_group_ids=(group.id,)), network)
                for ips in (("10.0.0.5", "fd00::5"), ("10.0.0.6", "fd00::6"))
            ]
            ears = await netns.run_in(victim.netns, lambda: udp_socket("0.0.0.0", 68))
            offers = await netns.run_in(rogue.netns, lambda: udp_socket("10.0.0.5", 67))
            loop = asyncio.get_running_loop()
            with ears, offers:
                offers.sendto(b"an offer", ("10.0.0.6", 68))
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(1):
                        await loop.sock_recv(ears, 100)

    asyncio.run(story())


def udp_socket(address: str, port: int) -> socket.socket:
    result = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    result.setblocking(False)
    result.bind((address, port))
    return result


def test_a_port_that_is_taken_down_is_cut_off(site: Site) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            network, group = new_network(), new_security_group(new_rule("ingress"))
            await cloud.declare(network, group)
            first, second = [
                await cloud.boot(new_port(network, ip, security_group_ids=(group.id,)), network)
                for ip in ("10.0.0.5", "10.0.0.6")
            ]
            assert await first.reaches("10.0.0.6")
            await cloud.engine.ensure_port(change(second.port, admin_state_up=False), 2)

            async def is_cut_off() -> bool:
                return not await first.pings("10.0.0.6", 0.3)

            await until(is_cut_off)

    asyncio.run(story())
