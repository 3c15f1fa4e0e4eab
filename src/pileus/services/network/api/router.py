"""Routers as the API shows them, and their gateway. `router_interface` has interfaces and extra routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Row, bindparam

from pileus.kernel.api.call import Call
from pileus.kernel.api.dispatch import owner_project
from pileus.kernel.api.fields import Text255, Uuid, create, field, filter, hidden, read_only, sort, update
from pileus.kernel.api.resource import Visibility
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Conflict
from pileus.lib.address import first_overlap
from pileus.services.network.api.addressing import fulfil, mac_for
from pileus.services.network.api.network import Network, checked_zones
from pileus.services.network.api.port import FixedIpBody
from pileus.services.network.api.standard import enforce_attributes, given
from pileus.services.network.api.subnet import Route
from pileus.services.network.api.tags import Tagged, declare_tags, tag_filters
from pileus.services.network.domain import allocation
from pileus.services.network.domain.routes import checked_routes
from pileus.services.network.events import announce
from pileus.services.network.model import routers
from pileus.services.network.state import state_of
from pileus.services.network.store import networks as network_store
from pileus.services.network.store import ports as port_store
from pileus.services.network.store import routers as store
from pileus.services.network.store import rows
from pileus.services.network.work.router import RouterProgram

_OWN = routers.c.project_id == bindparam("visible_project_id")


class GatewayInfo(msgspec.Struct, forbid_unknown_fields=True):
    network_id: Uuid | UnsetType = UNSET
    enable_snat: bool | UnsetType = UNSET
    external_fixed_ips: list[FixedIpBody] | UnsetType = UNSET


def _gateway_info(call: Call, row: Row[Any]) -> dict[str, Any] | None:
    if row.gateway_network_id is None:
        return None
    port = call.gathered["gateways"].get(row.id)
    return {
        "network_id": row.gateway_network_id,
        "enable_snat": row.enable_snat,
        "external_fixed_ips": [] if port is None else port.fixed_ips,
    }


class Router(Tagged, member="router", collection="routers", table=routers):
    kind_name = "router"
    filters = tag_filters(routers)

    name: Text255 = field(create, update, filter, sort, default="")
    admin_state_up: bool = field(create, update, filter, sort, default=True)
    status: str = field(read_only, filter, sort)
    external_gateway_info: GatewayInfo | None = field(create, update, default=None, render=_gateway_info)
    routes: list[Route] | None = field(update)
    distributed: bool | None = field(create, update, hidden, default=None, column=None)
    ha: bool | None = field(create, update, hidden, default=None, column=None)
    availability_zone_hints: list[str] = field(create, default=[])
    availability_zones: list[str] = field(
        render=lambda call, row: [state_of(call).settings.availability_zone]
    )

    @classmethod
    def visible_to_project(cls, project_id: str) -> Visibility:
        return _OWN, {"visible_project_id": project_id}

    @classmethod
    def gather(cls, call: Call, tx: Tx, rows: Sequence[Row[Any]]) -> None:
        call.gathered["gateways"] = store.gateway_ports(
            tx, [row.id for row in rows if row.gateway_network_id]
        )


@Router.create(policy="create_router", status=201, quota={"router": 1})
def create_router(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Makes a router."""
    enforce_attributes(call, "create_router", body, Router.target_of_new(call, tx, body))
    _check_place(body)
    row = rows.add(
        tx,
        routers,
        {
            "project_id": owner_project(call, body),
            **given(body, "name", "description", "admin_state_up"),
            "availability_zone_hints": checked_zones(call, body.availability_zone_hints),
            "status": "ACTIVE",
            "gateway_network_id": None,
            "enable_snat": True,
            "routes": [],
        },
    )
    info = body.external_gateway_info
    if _names_network(info):
        _set_gateway(call, tx, row, info)
        row = Router.load_again(call, tx, row.id)
    call.runtime.work.begin(tx, RouterProgram, row.id, request_id=call.request_id)
    announce(call, tx, Router, "create", row)
    return row


@Router.update(policy="update_router")
def update_router(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a router: its gateway, its routes, its state."""
    enforce_attributes(call, "update_router", body, Router.target(row))
    _check_place(body)
    values = given(body, "name", "description", "admin_state_up")
    if body.external_gateway_info is not UNSET:
        if _names_network(body.external_gateway_info):
            _set_gateway(call, tx, row, body.external_gateway_info)
        else:
            _clear_gateway(tx, row)
    if body.routes is not UNSET:
        wanted = [{"destination": each.destination, "nexthop": each.nexthop} for each in body.routes or []]
        values["routes"] = checked_routes(wanted, store.connected(tx, row.id))
    rows.change(tx, routers, row.id, **values)
    return changed(call, tx, row.id)


@Router.delete(policy="delete_router")
def delete_router(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a router; it must have no interfaces and carry no floating IPs."""
    held = [each for each in store.ports_of(tx, row.id) if each.device_owner != store.GATEWAY]
    if held:
        raise Conflict(
            f"Router {row.id} still has ports: {held[0].id}. Remove its interfaces first.", kind="RouterInUse"
        )
    _clear_gateway(tx, row)
    rows.remove(tx, routers, row.id)
    call.runtime.work.destroy(tx, row.id, request_id=call.request_id)
    announce(call, tx, Router, "delete", row)


Router.show(policy="get_router")
Router.list(policy="get_router")
declare_tags(Router)


def changed(call: Call, tx: Tx, router_id: str) -> Row[Any]:
    """What follows from every change of a router."""
    call.runtime.work.wake(tx, router_id, request_id=call.request_id)
    row = Router.load_again(call, tx, router_id)
    announce(call, tx, Router, "update", row)
    return row


def check_overlap(connected: Sequence[Row[Any]], cidr: str, subnet_id: str) -> None:
    """400 where the router is on addresses of the subnet already."""
    by_cidr = {each.cidr: each for each in connected}
    if (other := first_overlap(cidr, by_cidr)) is None:
        return
    if by_cidr[other].id == subnet_id:
        raise BadRequest(f"Bad router request: Router already has a port on subnet {subnet_id}.")
    raise BadRequest(
        f"Bad router request: Cidr {cidr} of subnet {subnet_id} overlaps with cidr {other} of subnet "
        f"{by_cidr[other].id}."
    )


def _check_place(body: Any) -> None:
    """400 where a router is to be distributed or highly available in a way that the engine does not offer:
    where its routers run is the engine's own choice."""
    for name in ("distributed", "ha"):
        if getattr(body, name) is True:
            raise BadRequest(
                f"Bad router request: {name} can't be chosen; the network engine places routers itself."
            )


def _names_network(info: Any) -> bool:
    """Whether there is to be a gateway; `null` and `{}` mean none."""
    if info in (None, UNSET):
        return False
    if info.network_id is not UNSET:
        return True
    if info == GatewayInfo():
        return False
    raise BadRequest("Invalid input for external_gateway_info. Reason: network_id is required.")


def _set_gateway(call: Call, tx: Tx, row: Row[Any], info: GatewayInfo) -> None:
    """Gives the router its gateway, or changes the one it has."""
    assert isinstance(info.network_id, str)
    network = Network.load_again(call, tx, info.network_id)
    if not network.external:
        raise BadRequest(f"Bad router request: Network {network.id} is not an external network.")
    snat = True if info.enable_snat is UNSET else info.enable_snat
    asked = None if info.external_fixed_ips is UNSET else info.external_fixed_ips
    port = store.gateway_ports(tx, [row.id]).get(row.id)
    if port is not None and port.network_id == network.id:
        if info.enable_snat is UNSET:
            snat = row.enable_snat
        if asked is not None:
            port_store.set_addresses(tx, port, _gateway_addresses(tx, network.id, asked, port))
    else:
        if port is not None:
            _clear_gateway(tx, row)
        _add_gateway_port(tx, row, network.id, asked)
    rows.change(tx, routers, row.id, gateway_network_id=network.id, enable_snat=snat)


def _gateway_addresses(
    tx: Tx, network_id: str, asked: Sequence[FixedIpBody] | None, port: Row[Any] | None, mac: str = ""
) -> list[dict[str, str]]:
    subnets = network_store.subnets_of(tx, network_id)
    if asked is None:
        return fulfil(tx, network_id, allocation.default_wishes(subnets, store.GATEWAY, mac))
    wanted = [(each.subnet_id or None, each.ip_address or None) for each in asked]
    wishes = allocation.requested_wishes(subnets, network_id, wanted, store.GATEWAY, mac)
    kept, port_id = ([], None) if port is None else (port.fixed_ips, port.id)
    return fulfil(tx, network_id, wishes, kept, port_id)


def _add_gateway_port(tx: Tx, row: Row[Any], network_id: str, asked: Sequence[FixedIpBody] | None) -> None:
    """The gateway's port is nobody's, so that no project can use it."""
    inner = store.connected(tx, row.id)
    for subnet in network_store.subnets_of(tx, network_id):
        check_overlap(inner, subnet.cidr, subnet.id)
    mac = mac_for(tx, network_id, None)
    port_store.add(
        tx,
        {
            "project_id": "",
            "network_id": network_id,
            "mac_address": mac,
            "fixed_ips": _gateway_addresses(tx, network_id, asked, None, mac),
            "device_owner": store.GATEWAY,
            "device_id": row.id,
            "router_id": row.id,
        },
    )


def _clear_gateway(tx: Tx, row: Row[Any]) -> None:
    """Takes the gateway away; 409 while floating IPs need it."""
    port = store.gateway_ports(tx, [row.id]).get(row.id)
    if port is None:
        return
    if floating := store.floating_ips_of(tx, row.id):
        raise Conflict(
            f"Gateway cannot be updated for router {row.id}, since a gateway to external network "
            f"{port.network_id} is required by one or more floating IPs, among them "
            f"{floating[0].floating_ip_address}.",
            kind="RouterExternalGatewayInUseByFloatingIp",
        )
    port_store.remove(tx, port)
    rows.change(tx, routers, row.id, gateway_network_id=None, enable_snat=True)
