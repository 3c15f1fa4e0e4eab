"""From the networks that a request names to the NICs that a server shall have, checked."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from typing import Any

from msgspec import UNSET

from pileus.kernel.api.call import Call
from pileus.kernel.errors import ApiError, BadRequest, Conflict, Forbidden, NotFound
from pileus.services.compute.api.server.bodies import WantedNic
from pileus.services.compute.versions import V

NicRequest = dict[str, Any]
"""`network_id`, `port_id`, `fixed_ip`, `tag`; the port is None where compute makes it."""
_UUID = re.compile(r"^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}\Z")


async def resolve(call: Call, wanted: list[WantedNic] | str | None, count: int) -> list[NicRequest]:
    """The NICs of each of `count` servers. 400, 403 or 409 as upstream where they can't be had."""
    if isinstance(wanted, str):
        if not call.has(V.AUTO_NETWORK) or wanted not in ("auto", "none"):
            raise BadRequest(f"Invalid input for field/attribute networks. Value: {wanted}.")
        return [] if wanted == "none" else [_nic(await _auto(call))]
    if wanted is None:
        if call.has(V.AUTO_NETWORK):
            raise BadRequest("Invalid input for field/attribute server. 'networks' is a required property")
        return await _only(call)
    nics = [await _asked(call, each) for each in wanted]
    if count > 1 and any(nic["fixed_ip"] or nic["port_id"] for nic in nics):
        raise BadRequest("Several servers can't be made with one port or one fixed IP.")
    await _check_networks(call, [nic["network_id"] for nic in nics if nic["port_id"] is None])
    return nics if nics else await _only(call)


def _nic(
    network_id: str, port_id: str | None = None, fixed_ip: str | None = None, tag: str | None = None
) -> NicRequest:
    return {"network_id": network_id, "port_id": port_id, "fixed_ip": fixed_ip, "tag": tag}


async def _available(call: Call) -> list[dict[str, Any]]:
    """The networks that the project can use without naming one."""
    ask = call.runtime.needs.networks.networks
    own, shared = await asyncio.gather(
        ask(call.context, tenant_id=call.project_id, shared="false"), ask(call.context, shared="true")
    )
    found = {network["id"]: network for network in [*own, *shared] if network.get("subnets")}
    return [network for network in found.values() if not network.get("router:external")]


async def _only(call: Call) -> list[NicRequest]:
    found = await _available(call)
    if len(found) > 1:
        raise Conflict("Multiple possible networks found, use a Network ID to be more specific.")
    return [_nic(network["id"]) for network in found]


async def _auto(call: Call) -> str:
    found = await _available(call)
    if len(found) > 1:
        raise Conflict("Multiple possible networks found, use a Network ID to be more specific.")
    if found:
        network_id: str = found[0]["id"]
        return network_id
    try:
        made: str = await call.runtime.needs.networks.auto_network(call.context)
    except ApiError as error:
        raise BadRequest(
            "Unable to automatically allocate a network for project "
            f"{call.project_id}: {error.message} Make a network with a subnet first."
        ) from error
    return made


async def _asked(call: Call, each: WantedNic) -> NicRequest:
    tag = each.tag if isinstance(each.tag, str) else None
    if each.tag is not UNSET and (
        not call.has(V.DEVICE_TAGS) or (call.has(V.AUTO_NETWORK) and not call.has(V.DEVICE_TAGS_AGAIN))
    ):
        raise BadRequest("Additional properties are not allowed ('tag' was unexpected)")
    if isinstance(each.port, str):
        if not _UUID.match(each.port):
            raise BadRequest(f"Bad port format: port uuid is not in proper format ({each.port})")
        return await _port(call, each.port, tag)
    if not isinstance(each.uuid, str) or not _UUID.match(each.uuid):
        said = each.uuid if isinstance(each.uuid, str) else ""
        raise BadRequest(f"Bad networks format: network uuid is not in proper format ({said})")
    fixed_ip = None
    if isinstance(each.fixed_ip, str):
        try:
            fixed_ip = str(ipaddress.ip_address(each.fixed_ip))
        except ValueError as error:
            raise BadRequest(f"Invalid fixed IP address ({each.fixed_ip})") from error
        await _check_free(call, each.uuid, fixed_ip)
    return _nic(each.uuid, None, fixed_ip, tag)


async def _port(call: Call, port_id: str, tag: str | None) -> NicRequest:
    try:
        port = await call.runtime.needs.networks.port(call.context, port_id)
    except NotFound as error:
        raise BadRequest(f"Port id {port_id} could not be found.") from error
    except ApiError as error:
        if error.status == 404:
            raise BadRequest(f"Port id {port_id} could not be found.") from error
        raise
    if port.get("device_id"):
        raise Conflict(f"Port {port_id} is still in use.")
    if not port.get("fixed_ips") and port.get("ip_allocation", "immediate") == "immediate":
        raise BadRequest(f"Port {port_id} requires a FixedIP in order to be used.")
    return _nic(port["network_id"], port_id, None, tag)


async def _check_free(call: Call, network_id: str, address: str) -> None:
    query = {"network_id": network_id, "fixed_ips": f"ip_address={address}"}
    if await call.runtime.needs.networks.ports(call.context, **query):
        raise BadRequest(
            f"Fixed IP address {address} is already in use on instance or port of network {network_id}."
        )


async def _check_networks(call: Call, network_ids: list[str]) -> None:
    if not network_ids:
        return
    wanted = sorted(set(network_ids))
    found = {each["id"]: each for each in await call.runtime.needs.networks.networks(call.context, id=wanted)}
    for network_id in wanted:
        network = found.get(network_id)
        if network is None:
            raise BadRequest(f"Network {network_id} could not be found.")
        if not network.get("subnets"):
            raise BadRequest(f"Network {network_id} requires a subnet in order to boot instances on.")
        if (
            network.get("router:external")
            and not network.get("shared")
            and not call.allows("network:attach_external_network")
        ):
            raise Forbidden(f"It is not allowed to create an interface on external network {network_id}")


async def security_groups(call: Call, names: list[str]) -> list[dict[str, str]]:
    """Name and id of the groups that are asked for by name or id; 400 for unknown and ambiguous ones.

    The default group alone is left to the network service, which gives it to every new port.
    """
    wanted = list(dict.fromkeys(names))
    if not wanted or wanted == ["default"]:
        return []
    groups = await call.runtime.needs.networks.security_groups(call.context, tenant_id=call.project_id)
    chosen = []
    for name in wanted:
        found = [each for each in groups if each["id"] == name] or [
            each for each in groups if each["name"] == name
        ]
        if not found:
            raise BadRequest(f"Security group {name} not found for project {call.project_id}.")
        if len(found) > 1:
            raise Conflict(
                f"Multiple security groups found matching '{name}'. Use an ID to be more specific."
            )
        chosen.append({"id": found[0]["id"], "name": found[0]["name"]})
    return chosen
