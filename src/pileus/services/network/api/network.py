"""Networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias

from msgspec import UNSET, Meta
from sqlalchemy import Row, bindparam, or_

from pileus.kernel.api.call import Call
from pileus.kernel.api.dispatch import owner_project
from pileus.kernel.api.fields import Text255, create, field, filter, read_only, sort, update
from pileus.kernel.api.resource import Visibility
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Conflict, NotFound
from pileus.services.network.api.standard import enforce_attributes, given
from pileus.services.network.api.tags import Tagged, declare_tags, tag_filters
from pileus.services.network.domain.dns import checked_domain
from pileus.services.network.domain.subnet import invalid
from pileus.services.network.events import announce
from pileus.services.network.model import networks
from pileus.services.network.state import State, state_of
from pileus.services.network.store import networks as store
from pileus.services.network.store import ports as port_store
from pileus.services.network.store import rows
from pileus.services.network.work.network import NetworkProgram

Mtu: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
MIN_MTU: Final = {4: 68, 6: 1280}
"""What each IP version needs (RFC 791 and RFC 8200)."""
OVERLAY: Final = "geneve"

_VISIBLE = or_(
    networks.c.project_id == bindparam("visible_project_id"), networks.c.shared, networks.c.external
)


class Network(Tagged, member="network", collection="networks", table=networks):
    kind_name = "network"
    services_see_all = True
    filters = tag_filters(networks)

    name: Text255 = field(create, update, filter, sort, default="")
    admin_state_up: bool = field(create, update, filter, sort, default=True)
    status: str = field(read_only, filter, sort)
    shared: bool = field(create, update, filter, sort, default=False)
    external: bool = field(create, update, filter, sort, default=False, wire="router:external")
    is_default: bool = field(create, update, filter, sort, default=False)
    port_security_enabled: bool = field(create, update, filter, default=True)
    mtu: Mtu = field(create, update, filter, sort)
    dns_domain: Text255 = field(create, update, filter, sort, default="")
    network_type: str | None = field(
        create, filter, sort, wire="provider:network_type", policy="get_network:provider:network_type"
    )
    physical_network: str | None = field(
        create, filter, sort, wire="provider:physical_network", policy="get_network:provider:physical_network"
    )
    segmentation_id: int | None = field(
        create, filter, sort, wire="provider:segmentation_id", policy="get_network:provider:segmentation_id"
    )
    availability_zone_hints: list[str] = field(create, default=[])
    availability_zones: list[str] = field(
        render=lambda call, row: [state_of(call).settings.availability_zone]
    )
    subnets: list[str] = field(render=lambda call, row: call.gathered["subnets"].get(row.id, []))

    @classmethod
    def visible_to_project(cls, project_id: str) -> Visibility:
        return _VISIBLE, {"visible_project_id": project_id}

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return {**super().target(row), "router:external": row.external}

    @classmethod
    def gather(cls, call: Call, tx: Tx, rows: Sequence[Row[Any]]) -> None:
        call.gathered["subnets"] = store.subnet_ids(tx, [row.id for row in rows])


@Network.create(policy="create_network", status=201, quota={"network": 1})
def create_network(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Makes a network."""
    project_id = owner_project(call, body)
    enforce_attributes(call, "create_network", body, Network.target_of_new(call, tx, body))
    row = rows.add(
        tx,
        networks,
        {
            "project_id": project_id,
            **given(
                body, "name", "description", "admin_state_up", "shared", "external", "is_default",
                "port_security_enabled",
            ),
            **_segment(tx, state_of(call), body),
            "mtu": _mtu(state_of(call), None if body.mtu is UNSET else body.mtu),
            "dns_domain": checked_domain(body.dns_domain),
            "availability_zone_hints": checked_zones(call, body.availability_zone_hints),
            "status": "ACTIVE",
            "realized": False,
        },
    )  # fmt: skip
    _check_default(tx, row, body)
    call.runtime.work.begin(tx, NetworkProgram, row.id, request_id=call.request_id)
    announce(call, tx, Network, "create", row)
    return row


@Network.update(policy="update_network")
def update_network(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a network."""
    enforce_attributes(call, "update_network", body, Network.target(row))
    values = given(
        body,
        "name",
        "description",
        "admin_state_up",
        "shared",
        "external",
        "is_default",
        "port_security_enabled",
    )
    if body.mtu is not UNSET:
        values["mtu"] = _mtu(state_of(call), body.mtu)
        check_mtu(values["mtu"], [each.ip_version for each in store.subnets_of(tx, row.id)])
    if body.dns_domain is not UNSET:
        values["dns_domain"] = checked_domain(body.dns_domain)
    if values.get("external") is False and row.external and store.is_used_as_external(tx, row.id):
        raise Conflict(
            f"External network {row.id} cannot be updated to be made non-external, since it has existing "
            "gateway ports. Clear the routers' gateways and release the floating IPs first.",
            kind="ExternalNetworkInUse",
        )
    if values.get("shared") is False and row.shared and store.has_foreign_ports(tx, row.id, row.project_id):
        raise Conflict(
            f"Unable to reconfigure sharing settings for network {row.name}. Multiple projects are using it.",
            kind="InvalidSharedSetting",
        )
    _check_default(tx, row, body)
    if values:
        rows.change(tx, networks, row.id, **values)
        call.runtime.work.wake(tx, row.id, request_id=call.request_id)
        row = Network.load_again(call, tx, row.id)
        announce(call, tx, Network, "update", row)
    return row


@Network.delete(policy="delete_network")
def delete_network(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a network with its subnets and the floating IPs that lead nowhere; its ports must be gone."""
    for outer in store.drop_loose_floating_ips(tx, row.id):
        port_store.remove(tx, outer)
    if store.has_ports(tx, row.id):
        raise Conflict(
            f"Unable to complete operation on network {row.id}. There are one or more ports still in use "
            "on the network. Delete them first: servers, router interfaces, gateways and floating IPs have "
            "some.",
            kind="NetworkInUse",
        )
    store.delete_subnets(tx, row.id)
    rows.remove(tx, networks, row.id)
    call.runtime.work.destroy(tx, row.id, request_id=call.request_id)
    announce(call, tx, Network, "delete", row)


Network.show(policy="get_network")
Network.list(policy="get_network")
declare_tags(Network)


def checked_zones(call: Call, hints: list[str]) -> list[str]:
    """404 for a zone that is not there."""
    for hint in hints:
        if hint != state_of(call).settings.availability_zone:
            raise NotFound(f"AvailabilityZone {hint} could not be found.", kind="AvailabilityZoneNotFound")
    return hints


def check_mtu(mtu: int, ip_versions: Iterable[int]) -> None:
    """409 where subnets of these IP versions can't be on a network of this MTU."""
    for version in ip_versions:
        if mtu < MIN_MTU[version]:
            raise Conflict(
                f"The network's MTU {mtu} is less than the {MIN_MTU[version]} that a subnet of "
                f"IPv{version} needs.",
                kind="NetworkMTUSubnetConflict",
            )


def _mtu(state: State, wanted: int | None) -> int:
    """The MTU asked for, or the largest that the engine carries (as 0 asks for)."""
    most = state.capabilities.max_mtu
    if not wanted:
        return most
    if wanted > most:
        raise invalid(f"Requested MTU is too big, maximum is {most}.")
    return wanted


def _segment(tx: Tx, state: State, body: Any) -> dict[str, Any]:
    """What the network runs on: the engine's overlay, or the physical network that the engine reaches."""
    asked = given(body, "network_type", "physical_network", "segmentation_id")
    network_type = asked.get("network_type") or OVERLAY
    physical = asked.get("physical_network")
    if asked.get("segmentation_id") is not None:
        raise invalid("segmentation_id can't be chosen: this network engine numbers its segments itself.")
    if network_type == OVERLAY:
        if physical is not None:
            raise invalid(f"provider:physical_network specified for {OVERLAY} network.")
    elif network_type == "flat":
        if physical != state.capabilities.physical_network:
            raise invalid(
                f"physical_network '{physical}' unknown for flat provider network; there is "
                f"'{state.capabilities.physical_network}'."
            )
        if (holder := store.on_physical(tx, physical)) is not None:
            raise Conflict(
                f"Unable to create the flat network. Physical network {physical} is in use by network "
                f"{holder}.",
                kind="FlatNetworkInUse",
            )
    else:
        raise BadRequest(
            f"network_type value '{network_type}' not supported; there are '{OVERLAY}' and 'flat'.",
            kind="InvalidInput",
        )
    return {"network_type": network_type, "physical_network": physical, "segmentation_id": None}


def _check_default(tx: Tx, row: Row[Any], body: Any) -> None:
    if body.is_default is not True:
        return
    other = store.default_external(tx, other_than=row.id)
    if other is not None:
        raise Conflict(
            f"A default external network already exists: {other}.", kind="DefaultExternalNetworkExists"
        )
