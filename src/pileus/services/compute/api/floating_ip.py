"""Floating IPs as the compute API once had them: the network service's. Gone since NO_PROXIES, the actions of
servers since NO_ADDRESS_ACTIONS."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Row

from pileus.kernel.api.bodies import Body
from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import field
from pileus.kernel.api.service import Routes
from pileus.kernel.errors import ApiError, BadRequest, Conflict, Forbidden, NotFound
from pileus.services.compute.api.server.actions import check_unlocked
from pileus.services.compute.api.server.resource import Server
from pileus.services.compute.api.types import Id255
from pileus.services.compute.needs import SERVICE, Item
from pileus.services.compute.versions import V

routes = Routes()
FLOATING_IPS: Final = "os_compute_api:os-floating-ips"
UNTIL: Final = V.NO_PROXIES.previous
ACTIONS_UNTIL: Final = V.NO_ADDRESS_ACTIONS.previous


class Pool(msgspec.Struct):
    pool: str | None = None


class PoolsAnswer(msgspec.Struct):
    """By name."""

    floating_ip_pools: list[dict[str, str]]


class FloatingIp(msgspec.Struct, kw_only=True):
    id: str
    ip: str
    pool: str
    fixed_ip: str | None
    instance_id: str | None


class FloatingIpsAnswer(msgspec.Struct):
    floating_ips: list[FloatingIp]


class FloatingIpAnswer(msgspec.Struct):
    floating_ip: FloatingIp


@routes.add("GET", "/os-floating-ip-pools", policy="os_compute_api:os-floating-ip-pools", until=UNTIL)
async def list_pools(call: Call) -> PoolsAnswer:
    """Lists the networks that floating IPs are taken from."""
    return PoolsAnswer([{"name": each["name"]} for each in await _pools(call)])


@routes.add("GET", "/os-floating-ips", policy=f"{FLOATING_IPS}:list", until=UNTIL)
async def list_floating_ips(call: Call) -> FloatingIpsAnswer:
    """Lists the project's floating IPs."""
    found = await call.runtime.needs.networks.floating_ips(call.context, tenant_id=call.project_id)
    return FloatingIpsAnswer(await _shown(call, found))


@routes.add("GET", "/os-floating-ips/{floating_ip}", policy=f"{FLOATING_IPS}:show", until=UNTIL)
async def show_floating_ip(call: Call) -> FloatingIpAnswer:
    """Shows a floating IP."""
    (shown,) = await _shown(call, [await _find(call)])
    return FloatingIpAnswer(shown)


@routes.add("POST", "/os-floating-ips", policy=f"{FLOATING_IPS}:create", body=Pool | None, until=UNTIL)
async def create_floating_ip(call: Call, body: Pool | None) -> FloatingIpAnswer:
    """Takes a floating IP of a pool, by the network's name or id; without one, of the only or the default pool."""
    wanted = body.pool if body is not None else None
    pools = await _pools(call)
    if wanted is None:
        chosen = [each for each in pools if each.get("is_default")] or pools
    else:
        chosen = [each for each in pools if wanted in (each["id"], each["name"])]
    if not chosen:
        raise NotFound(f"Floating IP pool {wanted or ''} not found.")
    values = {"floating_network_id": chosen[0]["id"], "project_id": call.project_id}
    try:
        made = await call.runtime.needs.networks.create_floating_ip(call.context, values)
    except ApiError as error:
        if error.kind == "IpAddressGenerationFailure":
            raise NotFound(f"No more floating IPs in pool {chosen[0]['name']}.") from error
        if error.kind == "OverQuota":
            raise Forbidden(f"IP allocation over quota in pool {chosen[0]['name']}.") from error
        raise
    (shown,) = await _shown(call, [made])
    return FloatingIpAnswer(shown)


@routes.add(
    "DELETE", "/os-floating-ips/{floating_ip}", policy=f"{FLOATING_IPS}:delete", status=202, until=UNTIL
)
async def delete_floating_ip(call: Call) -> None:
    """Gives a floating IP back."""
    found = await _find(call)
    await call.runtime.needs.networks.delete_floating_ip(call.context, found["id"])


class AddFloatingIp(Body):
    address: Id255 = field(required=True)
    fixed_address: Id255 | None = field(default=None)


class RemoveFloatingIp(Body):
    address: Id255 = field(required=True)


@Server.action("addFloatingIp", policy=f"{FLOATING_IPS}:add", body=AddFloatingIp, until=ACTIONS_UNTIL)
async def add_floating_ip(call: Call, row: Row[Any], body: Any) -> None:
    """Leads a floating IP to one of a server's fixed addresses: the one that is named, or its first of IPv4."""
    check_unlocked(call, row)
    floating = await _by_address(call, body.address)
    ports = await call.runtime.needs.networks.ports(SERVICE, device_id=row.id)
    held = [(port, each["ip_address"]) for port in ports for each in port["fixed_ips"]]
    fitting = [
        (port, address)
        for port, address in held
        if address == body.fixed_address or (body.fixed_address is None and ":" not in address)
    ]
    if not fitting:
        missing = f"fixed address {body.fixed_address}" if body.fixed_address else "fixed IPv4 addresses"
        raise BadRequest(f"Unable to associate floating IP {body.address}: server {row.id} has no {missing}.")
    port, address = fitting[0]
    values = {"port_id": port["id"], "fixed_ip_address": address}
    try:
        await call.runtime.needs.networks.update_floating_ip(call.context, floating["id"], values)
    except ApiError as error:
        raise BadRequest(f"Unable to associate floating IP {body.address}: {error.message}") from error


@Server.action(
    "removeFloatingIp", policy=f"{FLOATING_IPS}:remove", body=RemoveFloatingIp, until=ACTIONS_UNTIL
)
async def remove_floating_ip(call: Call, row: Row[Any], body: Any) -> None:
    """Has a floating IP lead nowhere."""
    check_unlocked(call, row)
    floating = await _by_address(call, body.address)
    (shown,) = await _shown(call, [floating])
    if shown.instance_id != row.id:
        raise Conflict(f"Floating IP {body.address} is not associated with instance {row.id}.")
    await call.runtime.needs.networks.update_floating_ip(call.context, floating["id"], {"port_id": None})


async def _pools(call: Call) -> list[Item]:
    found: list[Item] = await call.runtime.needs.networks.networks(
        call.context, **{"router:external": "true"}
    )
    return found


async def _find(call: Call) -> Item:
    floating_ip_id = call.params["floating_ip"]
    for each in await call.runtime.needs.networks.floating_ips(call.context, id=floating_ip_id):
        found: Item = each
        return found
    raise NotFound(f"Floating IP not found for ID {floating_ip_id}")


async def _by_address(call: Call, address: str) -> Item:
    for each in await call.runtime.needs.networks.floating_ips(call.context, floating_ip_address=address):
        found: Item = each
        return found
    raise NotFound(f"Floating IP not found for address {address}.")


async def _shown(call: Call, found: list[Item]) -> list[FloatingIp]:
    pools = {each["id"]: each["name"] for each in await _pools(call)}
    port_ids = sorted({each["port_id"] for each in found if each["port_id"]})
    ports = await call.runtime.needs.networks.ports(SERVICE, id=port_ids) if port_ids else []
    servers = {port["id"]: port["device_id"] or None for port in ports}
    return [
        FloatingIp(
            id=each["id"],
            ip=each["floating_ip_address"],
            pool=pools.get(each["floating_network_id"]) or each["floating_network_id"],
            fixed_ip=each.get("fixed_ip_address"),
            instance_id=servers.get(each["port_id"]),
        )
        for each in found
    ]
