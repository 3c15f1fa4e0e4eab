"""Ports as the API shows them; `port_writes` has what changes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta
from sqlalchemy import ColumnElement, Row, Select, bindparam, func, or_, select

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import Text255, Uuid, create, field, filter, read_only, sort, update
from pileus.kernel.api.resource import Visibility
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest
from pileus.services.network.api.subnet import network_target
from pileus.services.network.api.tags import Tag, Tagged, tag_filters
from pileus.services.network.domain.dns import assignment
from pileus.services.network.model import addresses, networks, port_security_groups, ports
from pileus.services.network.state import state_of

VnicType: TypeAlias = Literal[
    "normal", "direct", "direct-physical", "macvtap", "baremetal", "virtio-forwarder", "smart-nic", "vdpa",
    "accelerator-direct", "accelerator-direct-physical", "remote-managed",
]  # fmt: skip


class FixedIpBody(msgspec.Struct, forbid_unknown_fields=True):
    subnet_id: Uuid | msgspec.UnsetType = msgspec.UNSET
    ip_address: str | msgspec.UnsetType = msgspec.UNSET


class AddressPair(msgspec.Struct, forbid_unknown_fields=True):
    ip_address: str
    mac_address: str | msgspec.UnsetType = msgspec.UNSET


class DhcpOption(msgspec.Struct, forbid_unknown_fields=True):
    opt_name: Annotated[str, Meta(min_length=1, max_length=255)]
    opt_value: Annotated[str, Meta(min_length=1, max_length=255)] | None
    ip_version: Literal[4, 6] = 4


_VISIBLE = or_(
    ports.c.project_id == bindparam("visible_project_id"),
    ports.c.network_id.in_(
        select(networks.c.id).where(networks.c.project_id == bindparam("visible_project_id"))
    ),
)
_SELECT = select(
    ports,
    networks.c.project_id.label("network_project_id"),
    networks.c.shared.label("network_shared"),
    networks.c.dns_domain.label("network_dns_domain"),
).join(networks, networks.c.id == ports.c.network_id)

_BY_IP = ports.c.id.in_(
    select(addresses.c.port_id).where(addresses.c.ip_address.in_(bindparam("at_ips", expanding=True)))
)
_BY_SUBNET = ports.c.id.in_(
    select(addresses.c.port_id).where(addresses.c.subnet_id.in_(bindparam("at_subnets", expanding=True)))
)
_BY_BOTH = ports.c.id.in_(
    select(addresses.c.port_id).where(
        addresses.c.ip_address.in_(bindparam("at_ips", expanding=True)),
        addresses.c.subnet_id.in_(bindparam("at_subnets", expanding=True)),
    )
)
_BY_NETWORK = ports.c.network_id.in_(bindparam("on_networks", expanding=True))
_AMONG_NETWORK = func.coalesce(ports.c.network_id, "").in_(bindparam("on_networks", expanding=True))
_BY_GROUP = ports.c.id.in_(
    select(port_security_groups.c.port_id).where(
        port_security_groups.c.security_group_id.in_(bindparam("of_groups", expanding=True))
    )
)

Clause: TypeAlias = "ColumnElement[bool] | tuple[ColumnElement[bool], Mapping[str, Any]]"


def _by_address(call: Call, values: list[str]) -> Clause:
    """`ip_address=…`, `subnet_id=…`, `ip_address_substr=…`, each as often as wanted."""
    asked: dict[str, list[str]] = {"ip_address": [], "subnet_id": [], "ip_address_substr": []}
    for value in values:
        name, equals, wanted = value.partition("=")
        if not equals or name not in asked:
            raise BadRequest(
                f"Invalid value {value!r} for fixed_ips: it must be ip_address=…, subnet_id=… or "
                "ip_address_substr=….",
                kind="InvalidInput",
            )
        asked[name].append(wanted)
    ips, subnet_ids = asked["ip_address"], asked["subnet_id"]
    if asked["ip_address_substr"]:
        held = select(addresses.c.port_id).where(
            or_(
                *(
                    addresses.c.ip_address.contains(part, autoescape=True)
                    for part in asked["ip_address_substr"]
                )
            )
        )
        if ips:
            held = held.where(addresses.c.ip_address.in_(ips))
        if subnet_ids:
            held = held.where(addresses.c.subnet_id.in_(subnet_ids))
        return ports.c.id.in_(held)
    if ips and subnet_ids:
        return _BY_BOTH, {"at_ips": ips, "at_subnets": subnet_ids}
    return (_BY_IP, {"at_ips": ips}) if ips else (_BY_SUBNET, {"at_subnets": subnet_ids})


def _by_network(call: Call, values: list[str]) -> Clause:
    """By network. An address leads to one port where a network leads to thousands, and SQLite would begin
    with the network; so it is kept from using that index where both are given."""
    return (_AMONG_NETWORK if "fixed_ips" in call.query else _BY_NETWORK), {"on_networks": values}


def _by_group(call: Call, values: list[str]) -> Clause:
    return _BY_GROUP, {"of_groups": values}


def _dns_assignment(call: Call, row: Row[Any]) -> list[dict[str, str]]:
    network = call.gathered.get(row.network_id)
    domain = row.dns_domain or (row.network_dns_domain if network is None else network.dns_domain)
    domain = domain or state_of(call).settings.dns_domain
    return [assignment(each["ip_address"], row.dns_name, domain) for each in row.fixed_ips]


class Port(Tagged, member="port", collection="ports", table=ports):
    kind_name = "port"
    services_see_all = True
    filters = {
        **tag_filters(ports),
        "network_id": _by_network,
        "fixed_ips": _by_address,
        "security_groups": _by_group,
    }

    tags: list[Tag] = field(create, default=[])
    name: Text255 = field(create, update, filter, sort, default="")
    network_id: Uuid = field(create, filter, sort, required=True)
    admin_state_up: bool = field(create, update, filter, sort, default=True)
    status: str = field(read_only, filter, sort)
    mac_address: str | None = field(create, update, filter, sort)
    fixed_ips: list[FixedIpBody] | None = field(create, update)
    device_id: Text255 = field(create, update, filter, sort, default="")
    device_owner: Text255 = field(create, update, filter, sort, default="")
    security_groups: list[Uuid] | None = field(create, update, column="security_group_ids")
    allowed_address_pairs: list[AddressPair] | None = field(create, update, default=[])
    extra_dhcp_opts: list[DhcpOption] | None = field(create, update, default=[])
    port_security_enabled: bool = field(create, update, filter)
    host: Text255 | None = field(
        create, update, filter, sort, default="", wire="binding:host_id", policy="get_port:binding:host_id"
    )
    vnic_type: VnicType = field(create, update, filter, sort, default="normal", wire="binding:vnic_type")
    vif_type: str = field(filter, sort, wire="binding:vif_type", policy="get_port:binding:vif_type")
    vif_details: dict[str, Any] = field(
        read_only, wire="binding:vif_details", policy="get_port:binding:vif_details"
    )
    profile: dict[str, Any] | None = field(
        create, update, default={}, wire="binding:profile", policy="get_port:binding:profile"
    )
    dns_name: Text255 = field(create, update, filter, sort, default="")
    dns_domain: Text255 = field(create, update, filter, sort, default="")
    dns_assignment: list[dict[str, str]] = field(render=_dns_assignment)
    ip_allocation: str = field(render=lambda call, row: "immediate" if row.fixed_ips else "none")

    @classmethod
    def select(cls) -> Select[Any]:
        return _SELECT

    @classmethod
    def visible_to_project(cls, project_id: str) -> Visibility:
        return _VISIBLE, {"visible_project_id": project_id}

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return {
            **super().target(row),
            "network:project_id": row.network_project_id,
            "shared": row.network_shared,
        }

    @classmethod
    def target_of_new(cls, call: Call, tx: Tx, body: Any) -> dict[str, Any]:
        target = super().target_of_new(call, tx, body)
        return {**target, **network_target(call, tx, body.network_id), "device_owner": body.device_owner}
