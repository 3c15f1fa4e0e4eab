"""Security groups as the compute API once had them: the network service's, gone since NO_PROXIES."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable
from typing import Any, TypeVar

import msgspec

from pileus.kernel.api.bodies import Body
from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import field
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import ApiError, BadRequest, NotFound
from pileus.services.compute.api.server.interfaces import (
    GroupsAnswer,
    SecurityGroup,
    SecurityGroupRule,
    security_group,
    security_group_rule,
)
from pileus.services.compute.api.types import Text255
from pileus.services.compute.needs import Item
from pileus.services.compute.versions import V

routes = Routes()
GROUPS = "os_compute_api:os-security-groups"
UNTIL = V.NO_PROXIES.previous
PROTOCOLS = ("tcp", "udp", "icmp")
T = TypeVar("T")
_UUID = re.compile(r"^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}\Z")


class GroupAnswer(msgspec.Struct):
    security_group: SecurityGroup


class RuleAnswer(msgspec.Struct):
    security_group_rule: SecurityGroupRule


async def _asked(answer: Awaitable[T]) -> T:
    """The network service's answer; its conflicts are bad requests here, as upstream."""
    try:
        return await answer
    except ApiError as error:
        if error.status == 409:
            raise BadRequest(error.message) from error
        raise


def _id(text: str) -> str:
    if not _UUID.match(text):
        raise BadRequest(f"Security group id should be uuid, not {text}.")
    return text


async def _find(call: Call) -> Item:
    group_id = _id(call.params["group"])
    for group in await call.runtime.needs.networks.security_groups(call.context, id=group_id):
        found: Item = group
        return found
    raise NotFound(f"Security group {group_id} not found.")


@routes.add("GET", "/os-security-groups", policy=f"{GROUPS}:get", until=UNTIL)
async def list_groups(call: Call) -> GroupsAnswer:
    """Lists the project's security groups."""
    everywhere = call.context.is_admin and call.flag("all_tenants")
    query = {} if everywhere else {"tenant_id": call.project_id}
    groups = await call.runtime.needs.networks.security_groups(call.context, **query)
    return GroupsAnswer([security_group(group) for group in groups])


@routes.add("GET", "/os-security-groups/{group}", policy=f"{GROUPS}:show", until=UNTIL)
async def show_group(call: Call) -> GroupAnswer:
    """Shows a security group."""
    return GroupAnswer(security_group(await _find(call)))


class Group(Body, wrapper="security_group"):
    name: str = field(required=True)
    description: Text255 | None = field(default=None)

    @staticmethod
    def checked(body: Any) -> Item:
        if not body.name.strip() or len(body.name) > 255:
            raise BadRequest("Security group name must be between 1 and 255 characters.")
        return {"name": body.name, "description": body.description or ""}


@routes.add("POST", "/os-security-groups", policy=f"{GROUPS}:create", body=Group, until=UNTIL)
async def create_group(call: Call, body: Any) -> GroupAnswer:
    """Makes a security group."""
    networks = call.runtime.needs.networks
    values = {**Group.checked(body), "project_id": call.project_id}
    return GroupAnswer(security_group(await _asked(networks.create_security_group(call.context, values))))


@routes.add("PUT", "/os-security-groups/{group}", policy=f"{GROUPS}:update", body=Group, until=UNTIL)
async def update_group(call: Call, body: Any) -> GroupAnswer:
    """Changes a security group's name and description."""
    group = await _find(call)
    changed = call.runtime.needs.networks.update_security_group(
        call.context, group["id"], Group.checked(body)
    )
    return GroupAnswer(security_group(await _asked(changed)))


@routes.add("DELETE", "/os-security-groups/{group}", policy=f"{GROUPS}:delete", status=202, until=UNTIL)
async def delete_group(call: Call) -> None:
    """Removes a security group."""
    group = await _find(call)
    await _asked(call.runtime.needs.networks.delete_security_group(call.context, group["id"]))


@routes.add("DELETE", "/os-security-groups", policy=f"{GROUPS}:delete", until=UNTIL)
def delete_nothing(call: Call, tx: Tx) -> None:
    """A deletion that names no group: upstream's router knows no such path."""
    raise NotFound("The path names no security group.")


class GroupRule(Body, wrapper="security_group_rule"):
    parent_group_id: str = field(required=True)
    ip_protocol: str | None = field(default=None)
    from_port: int | str | None = field(default=None)
    to_port: int | str | None = field(default=None)
    cidr: str | None = field(default=None)
    group_id: str | None = field(default=None)


@routes.add("POST", "/os-security-group-rules", policy=f"{GROUPS}:rule:create", body=GroupRule, until=UNTIL)
async def create_rule(call: Call, body: Any) -> RuleAnswer:
    """Adds a rule for traffic that comes in."""
    networks = call.runtime.needs.networks
    parent = _id(body.parent_group_id)
    others = {group["id"]: group for group in await networks.security_groups(call.context)}
    if parent not in others:
        raise NotFound(f"Security group {parent} not found.")
    values: Item = {"security_group_id": parent, "direction": "ingress", "ethertype": "IPv4", **_ports(body)}
    if body.group_id:
        if _id(body.group_id) not in others:
            raise NotFound(f"Security group {body.group_id} not found.")
        values["remote_group_id"] = body.group_id
    else:
        values |= _prefix(body.cidr)
    rule = await _asked(networks.create_security_group_rule(call.context, values))
    shown = security_group_rule(rule)
    if body.group_id:
        remote = others[body.group_id]
        shown.group, shown.ip_range = {"tenant_id": remote["tenant_id"], "name": remote["name"]}, {}
    return RuleAnswer(shown)


def _ports(body: Any) -> Item:
    if body.ip_protocol is None:
        if body.from_port is None and body.to_port is None and body.group_id:
            return {}
        raise BadRequest("Not enough parameters to build a valid rule.")
    protocol = str(body.ip_protocol).lower()
    if protocol not in PROTOCOLS:
        raise BadRequest(f"Invalid IP protocol {body.ip_protocol}. It must be one of {', '.join(PROTOCOLS)}.")
    try:
        first, last = int(body.from_port), int(body.to_port)
    except (TypeError, ValueError) as error:
        raise BadRequest(
            f"Invalid port range {body.from_port}:{body.to_port}: both must be numbers."
        ) from error
    lowest, highest = (-1, 255) if protocol == "icmp" else (1, 65535)
    if (
        not lowest <= first <= highest
        or not lowest <= last <= highest
        or (protocol != "icmp" and first > last)
    ):
        raise BadRequest(f"Invalid port range {first}:{last}. Valid {protocol} ports are {lowest}-{highest}.")
    bounds = {
        "port_range_min": None if first == -1 else first,
        "port_range_max": None if last == -1 else last,
    }
    return {"protocol": protocol, **bounds}


def _prefix(cidr: str | None) -> Item:
    if cidr is None:
        return {"remote_ip_prefix": "0.0.0.0/0"}
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError as error:
        raise BadRequest(f"Invalid cidr {cidr}.") from error
    return {"remote_ip_prefix": cidr, "ethertype": f"IPv{network.version}"}


@routes.add(
    "DELETE", "/os-security-group-rules/{rule}", policy=f"{GROUPS}:rule:delete", status=202, until=UNTIL
)
async def delete_rule(call: Call) -> None:
    """Removes a rule."""
    await _asked(
        call.runtime.needs.networks.delete_security_group_rule(call.context, _id(call.params["rule"]))
    )
