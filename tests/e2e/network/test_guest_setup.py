"""What a guest learns of its network: leases, router advertisements, names."""

from __future__ import annotations

import asyncio
import ipaddress
from pathlib import Path

import msgspec
import pytest

from pileus.testing.network import (
    new_mac,
    new_network,
    new_port,
    new_router,
    new_rule,
    new_security_group,
    new_subnet,
)
from pileus.testing.waiting import until
from tests.e2e.network.guests import Guest
from tests.e2e.network.site import Site

pytestmark = pytest.mark.host

change = msgspec.structs.replace


async def lease(guest: Guest, directory: Path) -> dict[str, str]:
    """What udhcpc hands to its script once it has a lease."""
    script, environment = directory / "script", directory / "lease"
    script.write_text(f'#!/bin/sh\n[ "$1" = bound ] && env > {environment} || true\n')
    script.chmod(0o755)
    wanted = [f"-O{name}" for name in ("mtu", "staticroutes", "search", "ntpsrv", "domain")]
    command = ("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "30", "-T", "1", "-s", str(script))
    status, output = await guest.run(*command, *wanted)
    assert status == 0, output
    return dict(line.split("=", 1) for line in environment.read_text().splitlines() if "=" in line)


def test_a_lease_says_all_that_the_subnet_says(site: Site, tmp_path: Path) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            subnet = new_subnet(
                "10.0.0.0/24",
                dns_nameservers=("10.0.0.2", "10.0.0.3", "fd00::2"),
                host_routes=(("10.8.0.0/16", "10.0.0.8"),),
            )
            network = new_network(subnets=(subnet,), mtu=1400, dns_domain="cloud.example.")
            await cloud.declare(network, group := new_security_group(rules=()))
            port = new_port(
                network,
                "10.0.0.5",
                security_group_ids=(group.id,),
                dns_name="web",
                dhcp_options={"ntp-server": "10.0.0.4"},
            )
            found = await lease(await cloud.boot(port, network, configure=False), tmp_path)
            told = {
                "ip": "10.0.0.5",
                "mask": "24",
                "router": "10.0.0.1",
                "dns": "10.0.0.2 10.0.0.3",
                "mtu": "1400",
                "hostname": "web",
                "domain": "cloud.example",
                "ntpsrv": "10.0.0.4",
                "staticroutes": "169.254.169.254/32 0.0.0.0 10.8.0.0/16 10.0.0.8 0.0.0.0/0 10.0.0.1",
            }
            assert {name: found.get(name) for name in told} == told

    asyncio.run(story())


def test_a_subnet_without_a_gateway_or_dhcp(site: Site, tmp_path: Path) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            network = new_network(subnets=(new_subnet("10.0.0.0/24", gateway_ip=None),))
            silent = new_network(subnets=(new_subnet("10.0.0.0/24", enable_dhcp=False),))
            await cloud.declare(network, silent)
            guest = await cloud.boot(new_port(network, "10.0.0.5"), network, configure=False)
            found = await lease(guest, tmp_path)
            assert found["staticroutes"] == "169.254.169.254/32 0.0.0.0"
            assert "router" not in found
            guest = await cloud.boot(new_port(silent, "10.0.0.5"), silent, configure=False)
            status, _ = await guest.run(
                "busybox", "udhcpc", "-i", "eth0", "-nqf", "-t2", "-T1", "-s/bin/true"
            )
            assert status != 0

    asyncio.run(story())


def test_a_guest_makes_its_own_ipv6_address(site: Site) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            modes = {"ipv6_address_mode": "slaac", "ipv6_ra_mode": "slaac"}
            network = new_network(subnets=(new_subnet("fd01::/64", **modes),), mtu=1400)
            other = new_network("fd02::/64")
            group, mac = new_security_group(), new_mac()
            await cloud.declare(network, other, group, new_router(network, other))
            port = new_port(network, own_address("fd01::", mac), mac=mac, security_group_ids=(group.id,))
            guest = await cloud.boot(port, network, configure=False)
            other_port = new_port(other, "fd02::5", security_group_ids=(group.id,))
            beyond = await cloud.boot(other_port, other)

            await guest.ip("link", "set", "eth0", "mtu", "1500")

            async def has_all() -> bool:
                _, mtu = await guest.run("sysctl", "-n", "net.ipv6.conf.eth0.mtu")
                _, addresses = await guest.run("ip", "-6", "address", "show", "dev", "eth0")
                _, routes = await guest.run("ip", "-6", "route", "show", "default")
                address = f"{port.addresses[0].ip}/64"
                return address in addresses and "default via fe80" in routes and mtu.strip() == "1400"

            await until(has_all)
            # Nothing may come in, but answers do.
            assert not await beyond.pings(port.addresses[0].ip)
            await cloud.engine.ensure_security_group(
                change(group, rules=(*group.rules, new_rule("ingress", "IPv6"))), 2
            )
            assert await guest.reaches("fd02::5")

    asyncio.run(story())


def test_a_guest_gets_an_ipv6_address_by_dhcp(site: Site, tmp_path: Path) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            modes = {"ipv6_address_mode": "dhcpv6-stateful", "ipv6_ra_mode": "dhcpv6-stateful"}
            subnet = new_subnet("fd01::/64", dns_nameservers=("fd01::53",), **modes)
            network = new_network(subnets=(subnet,), dns_domain="cloud.example.")
            await cloud.declare(network, group := new_security_group(rules=()), new_router(network))
            port = new_port(network, "fd01::77", security_group_ids=(group.id,))
            guest = await cloud.boot(port, network, configure=False)
            script, environment = tmp_path / "script", tmp_path / "lease"
            script.write_text(
                f'#!/bin/sh\nif [ "$reason" = BOUND6 ]; then env > {environment}; kill $PPID; fi\n'
            )
            script.chmod(0o755)
            files = ("-sf", str(script), "-lf", str(tmp_path / "leases"), "-pf", str(tmp_path / "pid"))
            await guest.run("dhclient", "-6", "-1", "-d", *files, "eth0", seconds=30)
            found = dict(line.split("=", 1) for line in environment.read_text().splitlines() if "=" in line)
            told = {"new_ip6_address": "fd01::77", "new_dhcp6_name_servers": "fd01::53"}
            assert {name: found.get(name) for name in told} == told

    asyncio.run(story())


def test_names_of_guests_are_found(site: Site) -> None:
    async def story() -> None:
        async with site.cloud() as cloud:
            network, other = new_network(dns_domain="cloud.example."), new_network()
            await cloud.declare(network, other, group := new_security_group())
            await cloud.declare(
                new_port(network, "10.0.0.6", security_group_ids=(group.id,), dns_name="db"),
                new_port(other, "10.0.0.7", security_group_ids=(group.id,), dns_name="secret"),
            )
            guest = await cloud.boot(new_port(network, "10.0.0.5", security_group_ids=(group.id,)), network)
            silence = new_security_group(rules=())
            await cloud.declare(silence)
            port = new_port(network, "10.0.0.8", security_group_ids=(silence.id,))
            strict = await cloud.boot(port, network)
            for who in (guest, strict):
                await who.ip("route", "add", "169.254.169.254", "dev", "eth0")
            for name in ("db", "db.cloud.example"):
                status, output = await guest.run("busybox", "nslookup", "-type=a", name, "169.254.169.254")
                assert status == 0, output
                assert "10.0.0.6" in output
            # Others are refused at once, also by whoever may not send anything else.
            for who in (guest, strict):
                async with asyncio.timeout(2):
                    status, output = await who.run("busybox", "nslookup", "secret", "169.254.169.254")
                assert status != 0
                assert "10.0.0.7" not in output
            status, output = await strict.run("busybox", "nslookup", "-type=a", "db", "169.254.169.254")
            assert "10.0.0.6" in output

    asyncio.run(story())


def own_address(prefix: str, mac: str) -> str:
    """The address that a guest with this MAC makes on a prefix (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    interface = bytes((octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]))
    return str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + int.from_bytes(interface)))
