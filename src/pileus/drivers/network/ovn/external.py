"""The host's link to the cloud's external networks: a veth pair, one end the host's, one the switch's.

The host opens connections to floating IPs; nothing behind the switch opens any to the host. That is kept in
the switch, on a bridge between the external one and this link, so that the host's firewall stays as it is.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from pileus.drivers import netns, ovsdb
from pileus.drivers.network.ovn import command, names, vswitch
from pileus.drivers.network.ovn.daemons import Stack
from pileus.services.network.driver import NetworkError

GUARD = "br-host"
_HOST_PORT, _EXTERNAL_PORT = 1, 2
_CONNTRACK_ZONE = 65_520
"""Far from those that ovn-controller hands out, which start at 1."""

Address = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def guard_flows(host_mac: str, addresses: Sequence[Address]) -> list[str]:
    """Flows of the bridge between the external bridge and the host: the host asks, the others answer.

    Neighbour discovery passes both ways, and the host's own addresses on the link answer pings, as those of
    a gateway do, but only of their neighbours: an answer to any other address, as of a guest behind a router
    that translates none, would leave the host by its default route. Connections are followed; table 1 is for
    packets whose connection is known.
    """
    outward, to_external = f"in_port={_HOST_PORT}", f"output:{_EXTERNAL_PORT}"
    inward, to_host = f"in_port={_EXTERNAL_PORT}", f"output:{_HOST_PORT}"
    follow = f"ct(table=1,zone={_CONNTRACK_ZONE})"
    flows = [
        "table=0,priority=0,actions=drop",
        "table=1,priority=0,actions=drop",
        f"table=0,priority=30,{outward},arp,actions={to_external}",
        f"table=0,priority=30,{inward},arp,actions={to_host}",
        f"table=0,priority=20,{outward},icmp,icmp_type=0,actions={to_external}",
        f"table=0,priority=20,{outward},icmp6,icmp_type=129,actions={to_external}",
        f"table=1,priority=10,{inward},ct_state=+trk+est-inv,actions={to_host}",
        f"table=1,priority=10,{inward},ct_state=+trk+rel-inv,actions={to_host}",
    ]
    for kind in (135, 136):
        flows.append(f"table=0,priority=30,{outward},icmp6,icmp_type={kind},actions={to_external}")
        flows.append(f"table=0,priority=30,{inward},icmp6,icmp_type={kind},actions={to_host}")
    for protocol in ("ip", "ipv6"):
        flows.append(
            f"table=1,priority=10,{outward},{protocol},ct_state=+trk-inv,"
            f"actions=ct(commit,zone={_CONNTRACK_ZONE}),{to_external}"
        )
        flows.append(f"table=0,priority=10,{outward},{protocol},actions={follow}")
        flows.append(f"table=0,priority=10,{inward},{protocol},dl_dst={host_mac},actions={follow}")
    for address in addresses:
        ping = f"icmp,nw_src={address.network},nw_dst={address.ip},icmp_type=8"
        if address.version == 6:
            ping = f"icmp6,ipv6_src={address.network},ipv6_dst={address.ip},icmp_type=128"
        flows.append(f"table=0,priority=20,{inward},{ping},dl_dst={host_mac},actions={to_host}")
    return flows


class HostLink:
    """The veth pair, the host's addresses on it, and the guard."""

    def __init__(self, stack: Stack, addresses: Sequence[str], host_netns: str) -> None:
        """`addresses` are the host's own on the external subnets, with prefix length; without any there is
        no link. `host_netns` names the namespace that stands for the host, "" for the host's own."""
        self.name = f"pil-{stack.digest}"
        self._stack = stack
        self._addresses = tuple(ipaddress.ip_interface(address) for address in addresses)
        self._netns = host_netns
        self._mac = names.derived_mac(stack.digest, "host")
        # Of their own, so that they are known again whatever addresses the link had before.
        self._backstop_metric = 4_000_000_000 + int(stack.digest, 16)

    async def ensure(self) -> None:
        """Make or mend the link. At no moment have packets for its prefixes another way to go."""
        if not self._addresses:
            await self.remove()
            return
        await self._refuse_taken_prefixes()
        for address in self._addresses:
            await self._ip(f"route replace {self._backstop(str(address.network))}")
        await self._ensure_pair()
        await self._ensure_guard()
        versions = {address.version for address in self._addresses}
        await netns.run_in(self._netns, lambda: _harden(self.name, 6 in versions))
        held = {
            f"{info['local']}/{info['prefixlen']}": info.get("scope")
            for link in await self._show("address", "show", "dev", self.name)
            for info in link["addr_info"]
        }
        wanted = {str(address): " nodad" if address.version == 6 else "" for address in self._addresses}
        stale = [each for each, scope in held.items() if each not in wanted and scope != "link"]
        await self._ip(
            *(f"address replace {each} dev {self.name}{option}" for each, option in wanted.items()),
            *(f"address del {each} dev {self.name}" for each in stale),
            f"link set {self.name} up",
        )

    async def forget(self, ips: set[str]) -> None:
        """Have the host ask anew who holds these addresses. The new holder announces itself as well, but
        only after a second."""
        if self._addresses and ips:
            await command.forget_neighbours(self.name, ips, self._netns)

    async def remove(self) -> None:
        """Take the link away, and only then the routes that stood behind it."""
        if self._netns and not netns.exists(self._netns):
            return
        if await self._has_link(self._netns, self.name):
            await self._ip(f"link del {self.name}")
        for version in (4, 6):
            for route in await self._show(f"-{version}", "route", "show", "type", "unreachable"):
                if route.get("metric") == self._backstop_metric:
                    await self._ip(f"route del {self._backstop(route['dst'])}")

    def _backstop(self, prefix: str) -> str:
        return f"unreachable {prefix} metric {self._backstop_metric}"

    async def _refuse_taken_prefixes(self) -> None:
        for address in self._addresses:
            routes = await self._show(f"-{address.version}", "route", "show", "root", str(address.network))
            ours = (self.name, "lo")
            taken = {
                f"{route['dst']} on {dev}" for route in routes if (dev := route.get("dev", "lo")) not in ours
            }
            if taken:
                raise NetworkError(
                    f"the external network {address.network} overlaps with what this host already reaches: "
                    f"{', '.join(sorted(taken))}; give the cloud another prefix: "
                    "external_cidrs in [network] of its settings"
                )

    async def _ensure_pair(self) -> None:
        outer = await self._has_link(self._netns, self.name)
        inner = await self._has_link(self._stack.netns, self.name)
        if inner and outer:
            return
        if outer:
            await self._ip(f"link del {self.name}")
        peer = f"peer name {self.name} netns {self._stack.netns}"
        await self._ip(f"link add {self.name} address {self._mac} type veth {peer}")
        for place in (self._netns, self._stack.netns):
            await netns.run_in(place, lambda: netns.checksum_in_software(self.name))
        await command.ip(f"link set {self.name} up", inside=self._stack.netns)

    async def _ensure_guard(self) -> None:
        database = vswitch.open_database(self._stack.socket)
        try:
            await database.open()
            await vswitch.ensure_bridge(database, GUARD, "secure")
            host_end = {"name": self.name, "ofport_request": _HOST_PORT}
            patch = {"name": "to-external", "type": "patch", "ofport_request": _EXTERNAL_PORT}
            await vswitch.ensure_port(database, GUARD, host_end)
            await vswitch.ensure_port(database, GUARD, {**patch, "options": {"peer": "to-host"}})
            peer = {"name": "to-host", "type": "patch", "options": {"peer": "to-external"}}
            await vswitch.ensure_port(database, vswitch.EXTERNAL, peer)
            await vswitch.until_plugged(database, self.name, "to-external", "to-host")
        except ovsdb.OvsdbError as error:
            raise NetworkError(str(error)) from error
        finally:
            await database.close()
        flows = "\n".join(guard_flows(self._mac, self._addresses)) + "\n"
        socket = f"unix:{self._stack.directory}/{GUARD}.mgmt"
        await command.run("ovs-ofctl", "-OOpenFlow15", "--bundle", "replace-flows", socket, "-", stdin=flows)

    async def _has_link(self, inside: str, name: str) -> bool:
        return any(link["ifname"] == name for link in await command.show("link", inside=inside))

    async def _ip(self, *lines: str) -> None:
        await command.ip(*lines, inside=self._netns)

    async def _show(self, *arguments: str) -> list[dict[str, Any]]:
        return await command.show(*arguments, inside=self._netns)


def _harden(link: str, with_ipv6: bool) -> None:
    """What the host does on this link alone: it learns nothing, and answers only for what it has there."""
    netns.set_sysctl(f"ipv6/conf/{link}/disable_ipv6", "0" if with_ipv6 else "1")
    netns.set_sysctl(f"ipv6/conf/{link}/accept_ra", "0")
    netns.set_sysctl(f"ipv4/conf/{link}/arp_ignore", "1")
    netns.set_sysctl(f"ipv4/conf/{link}/arp_announce", "2")
    netns.set_sysctl(f"ipv4/conf/{link}/forwarding", "0")
    # A floating IP may move to another router at any moment: believe its announcement at once. It works a
    # tenth of a second after its declaration: ask again soon, and as long as by default, three seconds.
    netns.set_sysctl(f"ipv4/neigh/{link}/locktime", "0")
    for version in ("ipv4", "ipv6") if with_ipv6 else ("ipv4",):
        netns.set_sysctl(f"{version}/neigh/{link}/retrans_time_ms", "100")
        netns.set_sysctl(f"{version}/neigh/{link}/mcast_solicit", "30")
