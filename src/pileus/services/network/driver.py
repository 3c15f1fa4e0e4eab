"""What the network service needs of the world: an engine that makes declared networks real.

Every `ensure_*` takes the whole wanted state of one thing and converges, so create, update and repair take
one path; every `delete_*` of what is not there is no error. Ids are Neutron's; whatever names the engine
uses derive from them. Things may be asked for in any order once what they refer to exists: networks and
security groups before ports, networks before routers. Methods carry the strand's `epoch`; an engine refuses
an epoch older than the newest it has seen for that thing (`StaleEpoch`), also after that thing is deleted.

What refers to something that is not there is a `NetworkError`. Deleting never is: a network takes the ports
and router interfaces that are still on it along, a security group leaves its members and remote rules.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec


class Subnet(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    cidr: str
    gateway_ip: str | None = None
    enable_dhcp: bool = True
    dns_nameservers: tuple[str, ...] = ()
    host_routes: tuple[tuple[str, str], ...] = ()
    """(destination CIDR, next hop)."""
    ipv6_address_mode: str | None = None
    ipv6_ra_mode: str | None = None
    """`slaac`, `dhcpv6-stateful`, `dhcpv6-stateless` or None, for both modes."""


class Network(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    mtu: int
    admin_state_up: bool = True
    external: bool = False
    """Reaches the host's side through the engine's external bridge (`provider:physical_network`)."""
    dns_domain: str = ""
    subnets: tuple[Subnet, ...] = ()


class Address(msgspec.Struct, frozen=True, kw_only=True):
    subnet_id: str
    ip: str


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """A port that a guest may be plugged into. Router interfaces belong to `Router`."""

    id: str
    network_id: str
    mac: str
    admin_state_up: bool = True
    addresses: tuple[Address, ...] = ()
    allowed_address_pairs: tuple[tuple[str, str], ...] = ()
    """(IP address or CIDR, MAC) that may be used besides the port's own."""
    port_security_enabled: bool = True
    security_group_ids: tuple[str, ...] = ()
    dns_name: str = ""
    dhcp_options: dict[str, str] = {}
    """Extra DHCP options by name, as `extra_dhcp_opts`."""
    host: str | None = None


class RouterInterface(msgspec.Struct, frozen=True, kw_only=True):
    port_id: str
    network_id: str
    mac: str
    addresses: tuple[str, ...]
    """With prefix length, as `10.0.0.1/24`."""


class RouterGateway(msgspec.Struct, frozen=True, kw_only=True):
    port_id: str
    network_id: str
    mac: str
    addresses: tuple[str, ...]
    """With prefix length."""
    next_hops: tuple[str, ...] = ()
    """The gateway addresses of the external subnets."""
    enable_snat: bool = True


class FloatingIp(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    floating_ip: str
    fixed_ip: str
    port_id: str
    """The inner port that holds `fixed_ip`."""


class Router(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    admin_state_up: bool = True
    interfaces: tuple[RouterInterface, ...] = ()
    gateway: RouterGateway | None = None
    routes: tuple[tuple[str, str], ...] = ()
    """(destination CIDR, next hop)."""
    floating_ips: tuple[FloatingIp, ...] = ()


class SecurityGroupRule(msgspec.Struct, frozen=True, kw_only=True):
    """As upstream's rule; what is None matches all."""

    id: str
    direction: str
    """`ingress` or `egress`."""
    ethertype: str
    """`IPv4` or `IPv6`."""
    protocol: str | None = None
    """A name (`tcp`, `icmp`, `ipv6-icmp`) or a number as text."""
    port_range_min: int | None = None
    port_range_max: int | None = None
    """Ports, or for ICMP type and code."""
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None


class SecurityGroup(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    stateful: bool = True
    rules: tuple[SecurityGroupRule, ...] = ()


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """How a hypervisor on a host plugs a port: becomes `binding:vif_type` and `binding:vif_details`."""

    vif_type: str
    vif_details: dict[str, Any] = {}


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine holds, by id, to find what no row wants any more."""

    networks: frozenset[str]
    ports: frozenset[str]
    routers: frozenset[str]
    security_groups: frozenset[str]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine can carry, as data for the service and for `doctor`."""

    engine: str
    """`ovn` or `sim`; upstream's mechanism driver."""
    max_mtu: int
    """The largest MTU of a self-service network: the link's, less the overhead of tunnels if any."""
    physical_network: str
    """The name that external networks use as `provider:physical_network`."""
    metadata: bool
    """Whether guests get answers at 169.254.169.254."""


class NetworkError(Exception):
    """The engine could not do it; the message is for the user and names the cause."""


class StaleEpoch(NetworkError):
    """A newer strand has already acted on this thing; the caller is out of date and must stop."""


class NetworkEngine(Protocol):
    """The network of a cloud. See the module's text for the rules all methods keep."""

    async def start(self) -> Capabilities:
        """Get ready: start or find what the engine is made of, adopt what is there, mend what is broken."""

    async def close(self) -> None:
        """Let go of connections; traffic flows on."""

    async def teardown(self) -> None:
        """Take the engine off this host: no process, namespace, link or route stays, and no traffic flows.
        What was declared is still known to the next `start`."""

    async def ensure_network(self, network: Network, epoch: int) -> None: ...
    async def delete_network(self, network_id: str, epoch: int) -> None: ...
    async def ensure_port(self, port: Port, epoch: int) -> None: ...
    async def delete_port(self, port_id: str, epoch: int) -> None: ...
    async def ensure_router(self, router: Router, epoch: int) -> None: ...
    async def delete_router(self, router_id: str, epoch: int) -> None: ...
    async def ensure_security_group(self, group: SecurityGroup, epoch: int) -> None: ...
    async def delete_security_group(self, group_id: str, epoch: int) -> None: ...

    def binding(self, host: str) -> Binding:
        """How ports are plugged on that host, known at once; raises NetworkError where the host is unknown.
        The place of a port is readied by `ensure_port` with its `host`."""

    async def is_up(self, port_id: str) -> bool:
        """Whether a guest is plugged in and its traffic can flow (rules and flows are in place)."""

    async def inventory(self) -> Inventory: ...

    def watch(self, changed: Callable[[str], Awaitable[None]]) -> None:
        """From now on, call `changed(port_id)` when a port goes up or down. A hint, not a truth."""
