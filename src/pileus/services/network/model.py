"""Tables. Rows of networks, ports and the like are what lists show, whole; the tables that hang on a port
(its addresses, its security groups) are what constraints and look-ups stand on. `store/` writes both in
one place.

A resource that is deleted loses its row at once, as its user sees it; its strand, which has a row of its own,
stays until the engine has let go of it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from pileus.kernel.db import Json, Timestamp, metadata


def _standard() -> list[Column[Any]]:
    """What Neutron's standard attributes need, for every resource."""
    return [
        Column("id", String(36), primary_key=True),
        Column("project_id", String(64), nullable=False, index=True),
        Column("description", String(255), nullable=False),
        Column("revision_number", Integer, nullable=False),
        Column("created_at", Timestamp, nullable=False),
        Column("updated_at", Timestamp, nullable=False),
    ]


def _tags() -> Column[Any]:
    """A JSON list of unique strings without commas, so that `"name"` occurs in its text if and only if it
    is one."""
    return Column("tags", Json, nullable=False)


networks = Table(
    "network_networks",
    metadata,
    *_standard(),
    _tags(),
    Column("name", String(255), nullable=False),
    Column("admin_state_up", Boolean, nullable=False),
    Column("status", String(16), nullable=False),
    Column("realized", Boolean, nullable=False),  # the engine has it, so that ports and routers may follow
    Column("shared", Boolean, nullable=False),
    Column("external", Boolean, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("port_security_enabled", Boolean, nullable=False),
    Column("mtu", Integer, nullable=False),
    Column("dns_domain", String(255), nullable=False),
    Column("network_type", String(32), nullable=False),
    Column("physical_network", String(64)),
    Column("segmentation_id", Integer),
    Column("availability_zone_hints", Json, nullable=False),
)

subnet_pools = Table(
    "network_subnet_pools",
    metadata,
    *_standard(),
    _tags(),
    Column("name", String(255), nullable=False),
    Column("ip_version", Integer, nullable=False),
    Column("prefixes", Json, nullable=False),  # as few as possible, in order
    Column("min_prefixlen", Integer, nullable=False),
    Column("max_prefixlen", Integer, nullable=False),
    Column("default_prefixlen", Integer, nullable=False),
    Column("default_quota", Integer),
    Column("shared", Boolean, nullable=False),
    Column("is_default", Boolean, nullable=False),
)

subnets = Table(
    "network_subnets",
    metadata,
    *_standard(),
    _tags(),
    Column("network_id", String(36), ForeignKey(networks.c.id), nullable=False, index=True),
    Column("name", String(255), nullable=False),
    Column("ip_version", Integer, nullable=False),
    Column("cidr", String(64), nullable=False),
    Column("subnetpool_id", String(36), ForeignKey(subnet_pools.c.id), index=True),
    Column("gateway_ip", String(64)),
    Column("enable_dhcp", Boolean, nullable=False),
    Column("ipv6_address_mode", String(16)),
    Column("ipv6_ra_mode", String(16)),
    Column("allocation_pools", Json, nullable=False),  # [[first, last], …]
    Column("dns_nameservers", Json, nullable=False),
    Column("host_routes", Json, nullable=False),  # [{destination, nexthop}, …]
    Column("service_types", Json, nullable=False),
    Column("dns_publish_fixed_ip", Boolean, nullable=False),
)

routers = Table(
    "network_routers",
    metadata,
    *_standard(),
    _tags(),
    Column("name", String(255), nullable=False),
    Column("admin_state_up", Boolean, nullable=False),
    Column("status", String(16), nullable=False),
    Column("gateway_network_id", String(36), ForeignKey(networks.c.id), index=True),
    Column("enable_snat", Boolean, nullable=False),
    Column("routes", Json, nullable=False),  # [{destination, nexthop}, …]
    Column("availability_zone_hints", Json, nullable=False),
)

ports = Table(
    "network_ports",
    metadata,
    *_standard(),
    _tags(),
    Column("network_id", String(36), ForeignKey(networks.c.id), nullable=False),
    Column("name", String(255), nullable=False),
    Column("admin_state_up", Boolean, nullable=False),
    Column("status", String(16), nullable=False),
    Column("realized", Boolean, nullable=False),  # the engine has it, so that it can be bound
    Column("mac_address", String(17), nullable=False, index=True),
    Column("device_id", String(255), nullable=False, index=True),
    Column("device_owner", String(255), nullable=False),
    Column("router_id", String(36), ForeignKey(routers.c.id), index=True),  # its interface or gateway
    Column("fixed_ips", Json, nullable=False),  # [{subnet_id, ip_address}, …]
    Column("security_group_ids", Json, nullable=False),
    Column("allowed_address_pairs", Json, nullable=False),
    Column("extra_dhcp_opts", Json, nullable=False),
    Column("port_security_enabled", Boolean, nullable=False),
    Column("host", String(255), nullable=False),
    Column("vnic_type", String(32), nullable=False),
    Column("vif_type", String(32), nullable=False),
    Column("vif_details", Json, nullable=False),
    Column("profile", Json, nullable=False),
    Column("dns_name", String(255), nullable=False),
    Column("dns_domain", String(255), nullable=False),
    Column("untold", Integer, nullable=False, default=0),  # changes that its server has not heard of
    Index(None, "network_id", "mac_address", unique=True),
)

addresses = Table(
    "network_addresses",
    metadata,
    Column("subnet_id", String(36), ForeignKey(subnets.c.id), primary_key=True),
    Column("ip_address", String(64), primary_key=True),
    Column("port_id", String(36), ForeignKey(ports.c.id), nullable=False, index=True),
    Index(None, "ip_address"),
)

security_groups = Table(
    "network_security_groups",
    metadata,
    *_standard(),
    _tags(),
    Column("name", String(255), nullable=False),
    Column("stateful", Boolean, nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("realized", Boolean, nullable=False),
    # The project, of its default group alone: no project can have two.
    Column("default_of", String(64), unique=True),
)

security_group_rules = Table(
    "network_security_group_rules",
    metadata,
    *_standard(),
    Column("security_group_id", String(36), ForeignKey(security_groups.c.id), nullable=False, index=True),
    Column("direction", String(8), nullable=False),
    Column("ethertype", String(8), nullable=False),
    Column("protocol", String(40)),
    Column("port_range_min", Integer),
    Column("port_range_max", Integer),
    Column("remote_ip_prefix", String(64)),
    Column("remote_group_id", String(36), ForeignKey(security_groups.c.id), index=True),
    # All that makes a rule itself, as text, since NULLs in columns would defeat a constraint.
    Column("identity", Text, nullable=False),
    Index(None, "security_group_id", "identity", unique=True),
)

port_security_groups = Table(
    "network_port_security_groups",
    metadata,
    Column("port_id", String(36), ForeignKey(ports.c.id), primary_key=True),
    Column("security_group_id", String(36), ForeignKey(security_groups.c.id), primary_key=True, index=True),
)

floating_ips = Table(
    "network_floating_ips",
    metadata,
    *_standard(),
    _tags(),
    Column("floating_network_id", String(36), ForeignKey(networks.c.id), nullable=False, index=True),
    Column("floating_ip_address", String(64), nullable=False, index=True),
    # The port on the external network that holds the address; nobody's, so that no project can use it.
    Column("floating_port_id", String(36), ForeignKey(ports.c.id), nullable=False, unique=True),
    Column("port_id", String(36), ForeignKey(ports.c.id)),
    Column("fixed_ip_address", String(64)),
    Column("router_id", String(36), ForeignKey(routers.c.id), index=True),
    Column("status", String(16), nullable=False),
    Column("dns_name", String(255), nullable=False),
    Column("dns_domain", String(255), nullable=False),
    Index(None, "port_id", "fixed_ip_address", unique=True),
)

agents = Table(
    "network_agents",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("agent_type", String(64), nullable=False),
    Column("binary", String(64), nullable=False),
    Column("availability_zone", String(64), nullable=False),
    Column("admin_state_up", Boolean, nullable=False),
    Column("description", String(255), nullable=False),
    Column("configurations", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("started_at", Timestamp, nullable=False),
    Column("heartbeat_at", Timestamp, nullable=False),
)
