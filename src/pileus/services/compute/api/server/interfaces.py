"""A server's addresses, interfaces and security groups, and the attaching and detaching of interfaces."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import Row

from pileus.kernel.api.bodies import Body
from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import field
from pileus.kernel.db import Tx
from pileus.kernel.errors import ApiError, BadRequest, NotFound
from pileus.kernel.ids import new_uuid
from pileus.kernel.work import Fault
from pileus.services.compute.api.server.actions import check_state, check_unlocked
from pileus.services.compute.api.server.bodies import WantedNic
from pileus.services.compute.api.server.networks import NicRequest, resolve
from pileus.services.compute.api.server.resource import Server
from pileus.services.compute.api.types import Tag, Uuid
from pileus.services.compute.needs import SERVICE
from pileus.services.compute.store import action as actions
from pileus.services.compute.store import server as store
from pileus.services.compute.versions import V
from pileus.services.compute.work.ports import Ports, columns_of

_decode = msgspec.json.Decoder().decode
INTERFACES = "os_compute_api:os-attach-interfaces"


class PlainAddress(msgspec.Struct):
    version: int
    addr: str


class AddressesAnswer(msgspec.Struct):
    addresses: dict[str, list[PlainAddress]]


@Server.member_route("GET", "/ips", policy="os_compute_api:ips:index")
def list_addresses(call: Call, tx: Tx, row: Row[Any]) -> AddressesAnswer:
    """Lists a server's addresses by network."""
    return AddressesAnswer({label: _plain(each) for label, each in _decode(row.addresses).items()})


@Server.member_route("GET", "/ips/{label}", policy="os_compute_api:ips:show")
def show_addresses(call: Call, tx: Tx, row: Row[Any]) -> dict[str, list[PlainAddress]]:
    """Shows a server's addresses on one network."""
    label = call.params["label"]
    found = _decode(row.addresses).get(label)
    if found is None:
        raise NotFound("Instance is not a member of specified network")
    return {label: _plain(found)}


def _plain(entries: list[dict[str, Any]]) -> list[PlainAddress]:
    return [PlainAddress(each["version"], each["addr"]) for each in entries]


class SecurityGroupRule(msgspec.Struct, kw_only=True):
    """A rule for what comes in, from the CIDR in `ip_range` or from the `group` of a name."""

    id: str
    parent_group_id: str
    ip_protocol: str | None
    from_port: int | None
    to_port: int | None
    ip_range: dict[str, str]
    group: dict[str, str]


class SecurityGroup(msgspec.Struct, kw_only=True):
    """A security group in the shape that the compute API once gave it."""

    id: str
    name: str
    description: str
    tenant_id: str
    rules: list[SecurityGroupRule]


class GroupsAnswer(msgspec.Struct):
    security_groups: list[SecurityGroup]


@Server.member_route("GET", "/os-security-groups", policy="os_compute_api:os-security-groups:list")
async def list_security_groups(call: Call, row: Row[Any]) -> GroupsAnswer:
    """Lists the security groups of a server's ports."""
    networks = call.runtime.needs.networks
    ports = await networks.ports(SERVICE, device_id=row.id)
    held = sorted({group for port in ports for group in port["security_groups"]})
    groups = await networks.security_groups(SERVICE, id=held) if held else []
    return GroupsAnswer([security_group(group) for group in groups])


def security_group(group: dict[str, Any]) -> SecurityGroup:
    """The network service's, as the compute API shows it."""
    return SecurityGroup(
        id=group["id"],
        name=group["name"],
        description=group.get("description", ""),
        tenant_id=group.get("tenant_id") or group["project_id"],
        rules=[
            security_group_rule(rule)
            for rule in group.get("security_group_rules", ())
            if rule["direction"] == "ingress"
        ],
    )


def security_group_rule(rule: dict[str, Any]) -> SecurityGroupRule:
    """The network service's, as the compute API shows it."""
    protocol = rule.get("protocol")
    first, last = rule.get("port_range_min"), rule.get("port_range_max")
    if protocol is not None and first is None:
        first, last = (-1, -1) if protocol in ("icmp", "1") else (1, 65535)
    prefix = rule.get("remote_ip_prefix")
    if prefix is None and rule.get("remote_group_id") is None:
        prefix = "::/0" if rule.get("ethertype") == "IPv6" else "0.0.0.0/0"
    return SecurityGroupRule(
        id=rule["id"],
        parent_group_id=rule["security_group_id"],
        ip_protocol=protocol,
        from_port=first if first is not None else -1 if protocol else None,
        to_port=last if last is not None else -1 if protocol else None,
        ip_range={"cidr": prefix} if prefix is not None else {},
        group={},
    )


class Interface(msgspec.Struct, kw_only=True):
    port_state: str
    net_id: str
    port_id: str
    mac_addr: str
    fixed_ips: list[dict[str, str]]
    tag: str | UnsetType | None = UNSET


class InterfacesAnswer(msgspec.Struct):
    interfaces: list[Interface] = msgspec.field(name="interfaceAttachments")


class InterfaceAnswer(msgspec.Struct):
    interface: Interface = msgspec.field(name="interfaceAttachment")


@Server.member_route("GET", "/os-interface", policy=f"{INTERFACES}:list")
async def list_interfaces(call: Call, row: Row[Any]) -> InterfacesAnswer:
    """Lists a server's interfaces."""
    ports = await call.runtime.needs.networks.ports(SERVICE, device_id=row.id)
    whole = await call.runtime.db.read(store.get, row.id)
    return InterfacesAnswer([_attachment(call, whole, port) for port in ports])


@Server.member_route("GET", "/os-interface/{port_id}", policy=f"{INTERFACES}:show")
async def show_interface(call: Call, row: Row[Any]) -> InterfaceAnswer:
    """Shows one interface."""
    port_id = call.params["port_id"]
    for port in await call.runtime.needs.networks.ports(SERVICE, device_id=row.id):
        if port["id"] == port_id:
            whole = await call.runtime.db.read(store.get, row.id)
            return InterfaceAnswer(_attachment(call, whole, port))
    raise NotFound(f"Instance {row.id} does not have port with id {port_id}")


def _attachment(call: Call, row: Row[Any], port: dict[str, Any]) -> Interface:
    shown = Interface(
        port_state=port["status"],
        net_id=port["network_id"],
        port_id=port["id"],
        mac_addr=port["mac_address"],
        fixed_ips=port["fixed_ips"],
    )
    if call.has(V.SHOWN_DEVICE_TAGS):
        shown.tag = next((nic.get("tag") for nic in row.nics if nic["port_id"] == port["id"]), None)
    return shown


class FixedIp(msgspec.Struct, forbid_unknown_fields=True):
    ip_address: str


class AttachInterface(Body, wrapper="interfaceAttachment"):
    port_id: Uuid = field(default="")
    net_id: Uuid = field(default="")
    fixed_ips: Annotated[list[FixedIp], Meta(min_length=1, max_length=1)] = field(default=[])
    tag: Tag | None = field(default=None, since=V.TAGGED_ATTACH)


@Server.member_route("POST", "/os-interface", policy=f"{INTERFACES}:create", body=AttachInterface)
async def attach_interface(call: Call, row: Row[Any], body: Any) -> InterfaceAnswer:
    """Gives a server one more interface: on a port, on a network, or on the project's only network."""
    check_unlocked(call, row)
    check_state(row, "attach_interface")
    if body.port_id and body.net_id:
        raise BadRequest("Must not input both network_id and port_id")
    if body.fixed_ips and not body.net_id:
        raise BadRequest("Must input network_id when request IP address")
    fixed = body.fixed_ips[0].ip_address if body.fixed_ips else None
    asked = WantedNic(port=body.port_id or None, uuid=body.net_id or None, fixed_ip=fixed)
    nics = await resolve(call, [asked] if body.port_id or body.net_id else [], 1)
    if not nics:
        raise BadRequest("No more available networks: the project has none with a subnet.")
    nic = {**nics[0], "key": new_uuid(), "tag": getattr(body, "tag", None)}
    return await _attach(call, row, nic)


async def _attach(call: Call, row: Row[Any], nic: NicRequest) -> InterfaceAnswer:
    """What is wanted stands in the row before anything is made, so that nothing gets lost."""
    db, networks = call.runtime.db, call.runtime.needs.networks
    whole = await db.write(_want, row.id, nic)
    try:
        made = await Ports(networks, call.runtime.clock).ensure(whole, [nic])
    except Fault as fault:
        await db.write(_want_no_more, row.id, nic)
        raise BadRequest(f"Failed to attach network adapter device to {row.id}: {fault.message}") from fault
    whole = await db.write(_attached, call, row.id, made)
    port = await networks.port(SERVICE, made[0]["port_id"])
    return InterfaceAnswer(_attachment(call, whole, port))


def _want(tx: Tx, server_id: str, nic: NicRequest) -> Row[Any]:
    row = store.get(tx, server_id)
    check_state(row, "attach_interface")
    store.update(tx, row.id, networks={**row.networks, "nics": [*row.networks["nics"], nic]})
    return row


def _want_no_more(tx: Tx, server_id: str, nic: NicRequest) -> None:
    row = store.get(tx, server_id)
    kept = [each for each in row.networks["nics"] if each != nic]
    store.update(tx, row.id, networks={**row.networks, "nics": kept})


def _attached(tx: Tx, call: Call, server_id: str, made: list[dict[str, Any]]) -> Row[Any]:
    row = store.get(tx, server_id)
    known = {nic["port_id"] for nic in row.nics}
    nics = [*row.nics, *(nic for nic in made if nic["port_id"] not in known)]
    store.update(tx, row.id, **columns_of(nics), nics_plugged=False)
    actions.begin(tx, row.id, "attach_interface", call.context, row.project_id, call.request_id)
    call.runtime.work.wake(tx, row.id)
    return store.get(tx, server_id)


@Server.member_route("DELETE", "/os-interface/{port_id}", policy=f"{INTERFACES}:delete", status=202)
async def detach_interface(call: Call, row: Row[Any]) -> None:
    """Takes an interface from a server; the port goes too if compute made it."""
    check_unlocked(call, row)
    check_state(row, "detach_interface")
    port_id = call.params["port_id"]
    given = await call.runtime.db.write(_detached, call, row.id, port_id)
    ports = Ports(call.runtime.needs.networks, call.runtime.clock)
    await ports.give_back_one(port_id, keep=given)


def _detached(tx: Tx, call: Call, server_id: str, port_id: str) -> bool:
    row = store.get(tx, server_id)
    if not any(nic["port_id"] == port_id for nic in row.nics):
        raise NotFound(f"Instance {row.id} does not have port with id {port_id}")
    nics = [nic for nic in row.nics if nic["port_id"] != port_id]
    given = any(nic["port_id"] == port_id for nic in row.networks["nics"])
    wanted = [nic for nic in row.networks["nics"] if nic["port_id"] != port_id]
    networks = {**row.networks, "nics": wanted}
    store.update(tx, row.id, **columns_of(nics), networks=networks, nics_plugged=False)
    actions.begin(tx, row.id, "detach_interface", call.context, row.project_id, call.request_id)
    call.runtime.work.wake(tx, row.id)
    return given


class AddFixedIp(Body):
    network_id: str = field(wire="networkId", required=True)


class RemoveFixedIp(Body):
    address: str = field(required=True)


@Server.action(
    "addFixedIp",
    policy="os_compute_api:os-multinic:add",
    body=AddFixedIp,
    until=V.NO_ADDRESS_ACTIONS.previous,
)
async def add_fixed_ip(call: Call, row: Row[Any], body: Any) -> None:
    """Gives a server's port on a network one more address of one of its subnets."""
    check_unlocked(call, row)
    networks = call.runtime.needs.networks
    ports = [
        port
        for port in await networks.ports(SERVICE, device_id=row.id)
        if port["network_id"] == body.network_id
    ]
    subnets = await networks.subnets(SERVICE, network_id=body.network_id)
    if not ports or not subnets:
        raise BadRequest(f"Server {row.id} has no port on network {body.network_id}, or that has no subnet.")
    await _set_fixed_ips(call, row, ports[0], [*ports[0]["fixed_ips"], {"subnet_id": subnets[0]["id"]}])


@Server.action(
    "removeFixedIp",
    policy="os_compute_api:os-multinic:remove",
    body=RemoveFixedIp,
    until=V.NO_ADDRESS_ACTIONS.previous,
)
async def remove_fixed_ip(call: Call, row: Row[Any], body: Any) -> None:
    """Takes an address from a server."""
    check_unlocked(call, row)
    for port in await call.runtime.needs.networks.ports(SERVICE, device_id=row.id):
        kept = [each for each in port["fixed_ips"] if each["ip_address"] != body.address]
        if len(kept) < len(port["fixed_ips"]):
            await _set_fixed_ips(call, row, port, kept)
            return
    raise BadRequest(f"Server {row.id} has no fixed IP {body.address}.")


async def _set_fixed_ips(
    call: Call, row: Row[Any], port: dict[str, Any], fixed_ips: list[dict[str, Any]]
) -> None:
    networks = call.runtime.needs.networks
    try:
        await networks.update_port(SERVICE, port["id"], {"fixed_ips": fixed_ips})
    except ApiError as error:
        raise BadRequest(f"Port {port['id']} can't have these addresses: {error.message}") from error
    whole = await call.runtime.db.read(store.get, row.id)
    nics = await Ports(networks, call.runtime.clock).look(whole)
    await call.runtime.db.write(_readdress, row.id, nics)


def _readdress(tx: Tx, server_id: str, nics: list[dict[str, Any]]) -> None:
    store.update(tx, server_id, **columns_of(nics))
