"""Networks, ports, routers and security groups to declare in tests."""

from __future__ import annotations

import uuid
from typing import Any, TypeVar

from pileus.services.network.driver import (
    Address,
    Network,
    Port,
    Router,
    RouterGateway,
    RouterInterface,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
)

T = TypeVar("T")


def new_id() -> str:
    return str(uuid.uuid4())


def new_mac() -> str:
    return "fa:16:3e:" + ":".join(f"{byte:02x}" for byte in uuid.uuid4().bytes[:3])


def new_network(*cidrs: str, **changes: Any) -> Network:
    """A network with a subnet for each CIDR, its first address the gateway's."""
    subnets = tuple(new_subnet(cidr) for cidr in cidrs or ("10.0.0.0/24",))
    return Network(**{"id": new_id(), "mtu": 1500, "subnets": subnets, **changes})


def new_subnet(cidr: str, **changes: Any) -> Subnet:
    prefix = cidr.partition("/")[0]
    last = prefix.rstrip("0") if "." in prefix else prefix
    return Subnet(**{"id": new_id(), "cidr": cidr, "gateway_ip": f"{last}1", **changes})


def new_port(network: Network, *ips: str, **changes: Any) -> Port:
    """A port with these addresses, the n-th on the network's n-th subnet."""
    addresses = tuple(
        Address(subnet_id=subnet.id, ip=ip) for subnet, ip in zip(network.subnets, ips, strict=False)
    )
    fields = {"id": new_id(), "network_id": network.id, "mac": new_mac(), "addresses": addresses}
    return Port(**{**fields, **changes})


def new_rule(direction: str, ethertype: str = "IPv4", **limits: Any) -> SecurityGroupRule:
    return SecurityGroupRule(id=new_id(), direction=direction, ethertype=ethertype, **limits)


def new_security_group(*rules: SecurityGroupRule, **changes: Any) -> SecurityGroup:
    """A group with these rules besides those that let all out, as every new group has them."""
    out = (new_rule("egress", "IPv4"), new_rule("egress", "IPv6"))
    return SecurityGroup(**{"id": new_id(), "rules": (*out, *rules), **changes})


def new_interface(network: Network) -> RouterInterface:
    """A router's interface that holds the gateway address of each subnet."""
    addresses = tuple(
        f"{subnet.gateway_ip}/{subnet.cidr.partition('/')[2]}"
        for subnet in network.subnets
        if subnet.gateway_ip
    )
    return RouterInterface(port_id=new_id(), network_id=network.id, mac=new_mac(), addresses=addresses)


def new_router(*networks: Network, gateway: RouterGateway | None = None, **changes: Any) -> Router:
    """A router that joins these networks."""
    interfaces = tuple(new_interface(network) for network in networks)
    return Router(**{"id": new_id(), "interfaces": interfaces, "gateway": gateway, **changes})


def new_gateway(network: Network, *addresses: str) -> RouterGateway:
    """A router's port on an external network, with its subnets' gateways as next hops."""
    hops = tuple(subnet.gateway_ip for subnet in network.subnets if subnet.gateway_ip)
    return RouterGateway(
        port_id=new_id(), network_id=network.id, mac=new_mac(), addresses=addresses, next_hops=hops
    )
