"""Floating IPs: addresses of an external network that lead to an address behind a router."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET
from sqlalchemy import Row, bindparam

from pileus.kernel.api.call import Call
from pileus.kernel.api.dispatch import owner_project
from pileus.kernel.api.fields import Text255, Uuid, create, field, filter, hidden, read_only, sort, update
from pileus.kernel.api.resource import Visibility
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import BadRequest, Conflict, NotFound
from pileus.kernel.ids import new_uuid
from pileus.services.network.api.addressing import fulfil, mac_for
from pileus.services.network.api.network import Network
from pileus.services.network.api.port import Port
from pileus.services.network.api.standard import enforce_attributes, given
from pileus.services.network.api.tags import Tagged, declare_tags, tag_filters
from pileus.services.network.domain import allocation
from pileus.services.network.domain.dns import checked_domain, checked_name
from pileus.services.network.domain.subnet import canonical_ip
from pileus.services.network.events import announce
from pileus.services.network.model import floating_ips, ports, subnets
from pileus.services.network.store import networks as network_store
from pileus.services.network.store import ports as port_store
from pileus.services.network.store import routers as store
from pileus.services.network.store import rows

_OWN = floating_ips.c.project_id == bindparam("visible_project_id")
_LOOSE = {"port_id": None, "fixed_ip_address": None, "router_id": None}


class PortDetails(msgspec.Struct):
    name: str
    network_id: str
    mac_address: str
    admin_state_up: bool
    status: str
    device_id: str
    device_owner: str


def _port_details(call: Call, row: Row[Any]) -> PortDetails | None:
    port = call.gathered["ports"].get(row.port_id)
    if port is None:
        return None
    return PortDetails(*(getattr(port, name) for name in PortDetails.__struct_fields__))


class FloatingIP(Tagged, member="floatingip", collection="floatingips", table=floating_ips):
    kind_name = "floatingip"
    filters = tag_filters(floating_ips)

    floating_network_id: Uuid = field(create, filter, sort, required=True)
    floating_ip_address: str | None = field(create, filter, sort, default=None)
    subnet_id: Uuid | None = field(create, hidden, default=None, column=None)
    port_id: Uuid | None = field(create, update, filter, sort, default=None)
    fixed_ip_address: str | None = field(create, update, filter, sort, default=None)
    router_id: str | None = field(read_only, filter, sort)
    status: str = field(read_only, filter, sort)
    dns_name: Text255 = field(create, filter, sort, default="")
    dns_domain: Text255 = field(create, filter, sort, default="")
    port_details: PortDetails | None = field(render=_port_details)

    @classmethod
    def visible_to_project(cls, project_id: str) -> Visibility:
        return _OWN, {"visible_project_id": project_id}

    @classmethod
    def gather(cls, call: Call, tx: Tx, rows: Sequence[Row[Any]]) -> None:
        call.gathered["ports"] = store.ports_by_id(tx, [row.port_id for row in rows if row.port_id])


@FloatingIP.create(policy="create_floatingip", status=201, quota={"floatingip": 1})
def create_floating_ip(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Takes an address of an external network, and leads it to a port where one is named."""
    enforce_attributes(call, "create_floatingip", body, FloatingIP.target_of_new(call, tx, body))
    network = Network.load_again(call, tx, body.floating_network_id)
    if not network.external:
        raise BadRequest(f"Bad floatingip request: Network {network.id} is not a valid external network.")
    project_id = owner_project(call, body)
    floating_ip_id = new_uuid()
    outer = _outer_port(tx, floating_ip_id, network.id, body)
    inner = _LOOSE
    if body.port_id is not None:
        inner = _association(call, tx, network.id, project_id, body.port_id, body.fixed_ip_address)
    elif body.fixed_ip_address is not None:
        raise BadRequest("Bad floatingip request: fixed_ip_address cannot be specified without a port_id.")
    try:
        row = rows.add(
            tx,
            floating_ips,
            {
                "id": floating_ip_id,
                "project_id": project_id,
                "description": body.description,
                "floating_network_id": network.id,
                "floating_ip_address": outer.fixed_ips[0]["ip_address"],
                "floating_port_id": outer.id,
                **inner,
                "status": "DOWN",
                "dns_name": checked_name(body.dns_name),
                "dns_domain": checked_domain(body.dns_domain),
            },
        )
    except Duplicate as error:
        raise _taken(inner) from error
    _wake(call, tx, row.router_id)
    _tell(call, tx, row.port_id)
    announce(call, tx, FloatingIP, "create", row)
    return row


@FloatingIP.update(policy="update_floatingip")
def update_floating_ip(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Leads the address elsewhere, or nowhere."""
    enforce_attributes(call, "update_floatingip", body, FloatingIP.target(row))
    values = given(body, "description")
    port_id = row.port_id if body.port_id is UNSET else body.port_id
    fixed_ip = None if body.fixed_ip_address is UNSET else body.fixed_ip_address
    if not given(body, "description", "port_id", "fixed_ip_address"):
        port_id = None  # a blank update has always meant to let go
    if body.description is UNSET or body.port_id is not UNSET or body.fixed_ip_address is not UNSET:
        if port_id is not None:
            inner = _association(call, tx, row.floating_network_id, row.project_id, port_id, fixed_ip)
        elif fixed_ip is not None:
            raise BadRequest(
                "Bad floatingip request: fixed_ip_address cannot be specified without a port_id."
            )
        else:
            inner = _LOOSE
        if any(getattr(row, name) != value for name, value in inner.items()):
            values |= {**inner, "status": "DOWN"}
    if values:
        try:
            rows.change(tx, floating_ips, row.id, **values)
        except Duplicate as error:
            raise _taken(values) from error
        _wake(call, tx, row.router_id, values.get("router_id"))
        if "port_id" in values:
            _tell(call, tx, row.port_id, values["port_id"])
        row = FloatingIP.load_again(call, tx, row.id)
        announce(call, tx, FloatingIP, "update", row)
    return row


@FloatingIP.delete(policy="delete_floatingip")
def delete_floating_ip(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Gives the address back."""
    outer = rows.get(tx, ports, row.floating_port_id)
    rows.remove(tx, floating_ips, row.id)
    if outer is not None:
        port_store.remove(tx, outer)
    _wake(call, tx, row.router_id)
    _tell(call, tx, row.port_id)
    announce(call, tx, FloatingIP, "delete", row)


FloatingIP.show(policy="get_floatingip")
FloatingIP.list(policy="get_floatingip")
declare_tags(FloatingIP)


def _wake(call: Call, tx: Tx, *router_ids: str | None) -> None:
    for router_id in {each for each in router_ids if each is not None}:
        call.runtime.work.wake(tx, router_id, request_id=call.request_id)


def _tell(call: Call, tx: Tx, *port_ids: str | None) -> None:
    """Have the servers hear that these ports have other addresses now."""
    for port_id in {each for each in port_ids if each is not None}:
        port_store.leave_untold(tx, port_id)
        call.runtime.work.wake(tx, port_id, request_id=call.request_id)


def _taken(values: dict[str, Any]) -> Conflict:
    return Conflict(
        f"Cannot associate floating IP with port {values['port_id']} using fixed IP "
        f"{values['fixed_ip_address']}, as that fixed IP already has a floating IP.",
        kind="FloatingIPPortAlreadyAssociated",
    )


def _outer_port(tx: Tx, floating_ip_id: str, network_id: str, body: Any) -> Row[Any]:
    """The port that holds the address: nobody's, on the external network."""
    among = [each for each in network_store.subnets_of(tx, network_id) if each.ip_version == 4]
    if body.subnet_id is not None:
        among = [each for each in among if each.id == body.subnet_id]
        if not among:
            raise BadRequest(
                f"Bad floatingip request: Network {network_id} has no IPv4 subnet {body.subnet_id}."
            )
    if not among:
        raise BadRequest(f"Bad floatingip request: Network {network_id} does not contain any IPv4 subnet.")
    mac = mac_for(tx, network_id, None)
    if body.floating_ip_address is None:
        wishes = [allocation.Wish(tuple(allocation.fitting(among, store.FLOATING)))]
    else:
        asked = [(body.subnet_id, body.floating_ip_address)]
        wishes = allocation.requested_wishes(among, network_id, asked, store.FLOATING, mac)
    return port_store.add(
        tx,
        {
            "project_id": "",
            "network_id": network_id,
            "mac_address": mac,
            "fixed_ips": fulfil(tx, network_id, wishes),
            "device_owner": store.FLOATING,
            "device_id": floating_ip_id,
            "status": "N/A",
        },
    )


def _association(
    call: Call, tx: Tx, external_network_id: str, project_id: str, port_id: str, fixed_ip: str | None
) -> dict[str, Any]:
    """The port, its address and the router between it and the outside; 404 where there is none."""
    port = Port.load_again(call, tx, port_id)
    if port.project_id != project_id and not call.context.is_admin:
        raise BadRequest(
            f"Bad floatingip request: Port {port_id} is associated with a different project than the "
            "floating IP and therefore cannot be bound."
        )
    inner = _inner_address(port, None if fixed_ip is None else canonical_ip(fixed_ip, "fixed_ip_address"))
    subnet = rows.get(tx, subnets, inner["subnet_id"])
    assert subnet is not None, "an address refers to its subnet"
    router_id = store.way_out(tx, subnet.id, subnet.gateway_ip, external_network_id)
    if router_id is None:
        raise NotFound(
            f"External network {external_network_id} is not reachable from subnet {subnet.id}. Therefore, "
            f"cannot associate Port {port.id} with a Floating IP. Put a router with a gateway there on the "
            "subnet first.",
            kind="ExternalGatewayForFloatingIPNotFound",
        )
    return {"port_id": port.id, "fixed_ip_address": inner["ip_address"], "router_id": router_id}


def _inner_address(port: Row[Any], fixed_ip: str | None) -> dict[str, str]:
    v4: list[dict[str, str]] = [each for each in port.fixed_ips if ":" not in each["ip_address"]]
    if fixed_ip is not None:
        for each in v4:
            if each["ip_address"] == fixed_ip:
                return each
        raise BadRequest(f"Bad floatingip request: Port {port.id} does not have fixed ip {fixed_ip}.")
    if not v4:
        raise BadRequest(
            f"Bad floatingip request: Cannot add floating IP to port {port.id} that has no fixed IPv4 "
            "addresses."
        )
    if len(v4) > 1:
        raise BadRequest(
            f"Bad floatingip request: Port {port.id} has multiple fixed IPv4 addresses. Must provide a "
            "specific IPv4 address when assigning a floating IP."
        )
    return v4[0]
