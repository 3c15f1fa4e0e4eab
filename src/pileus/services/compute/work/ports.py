"""A server's ports: made or taken once, described for the guest and for users, given back in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from pileus.kernel.clock import Clock
from pileus.kernel.errors import ApiError
from pileus.kernel.work import Fault
from pileus.services.compute.needs import SERVICE, Item, Networks

KEPT_SECONDS = 5.0
NicInfo = dict[str, Any]
"""What compute knows of one NIC; kept in the server's row as JSON."""
Ask = Callable[..., Awaitable[list[Item]]]


class Ports:
    """The ports of servers, through the network service."""

    def __init__(self, networks: Networks, clock: Clock) -> None:
        self._networks = networks
        self._clock = clock
        self._kept: dict[str, tuple[float, Item]] = {}
        """Networks and security groups, for a few seconds."""

    async def ensure(self, row: Row[Any], wanted: list[Item] | None = None) -> list[NicInfo]:
        """Every NIC that was asked for, or those of `wanted`, has its port on the server's host. Raises Fault
        where one can't be had."""
        wanted = row.networks["nics"] if wanted is None else wanted
        if not wanted:
            return []
        try:
            await self._check_taken(row, wanted)
            ports = await asyncio.gather(
                *(self._ensure(row, number, nic) for number, nic in enumerate(wanted))
            )
            around = await self._around(ports)
        except ApiError as error:
            if error.status in (400, 403, 404, 409, 422):
                raise Fault(f"The server could not get its ports: {error.message}") from error
            raise
        return [described(port, around, nic) for port, nic in zip(ports, wanted, strict=True)]

    async def _check_taken(self, row: Row[Any], wanted: list[Item]) -> None:
        """A port that the request names may have been given to another server since."""
        named = [nic["port_id"] for nic in wanted if nic["port_id"]]
        if not named:
            return
        found = {port["id"]: port for port in await self._networks.ports(SERVICE, id=named)}
        for port_id in named:
            if port_id not in found:
                raise Fault(f"Port {port_id} could not be found.")
            if found[port_id].get("device_id") not in ("", None, row.id):
                raise Fault(f"Port {port_id} is in use by {found[port_id]['device_id']}.")

    async def _ensure(self, row: Row[Any], number: int, nic: Item) -> Item:
        binding = {
            "device_id": row.id,
            "device_owner": f"compute:{row.availability_zone}",
            "binding:host_id": row.host,
        }
        if nic["port_id"]:
            return await self._networks.update_port(SERVICE, nic["port_id"], binding)
        values = {
            **binding,
            "network_id": nic["network_id"],
            "project_id": row.project_id,
            "admin_state_up": True,
        }
        if nic["fixed_ip"]:
            values["fixed_ips"] = [{"ip_address": nic["fixed_ip"]}]
        if row.networks["security_group_ids"]:
            values["security_groups"] = row.networks["security_group_ids"]
        key = f"compute:{row.id}:nic:{nic.get('key', number)}"
        return await self._networks.create_port(SERVICE, values, key)

    async def look(self, row: Row[Any]) -> list[NicInfo]:
        """The NICs as they are now, floating IPs included, in the order in which they came."""
        ports = await self._networks.ports(SERVICE, device_id=row.id)
        if not ports:
            return []
        named = {nic["port_id"]: nic for nic in row.networks["nics"] if nic["port_id"]}
        known = {nic["port_id"]: number for number, nic in enumerate(row.nics)}
        made = {nic["port_id"]: nic for nic in row.nics}
        ports.sort(key=lambda port: (known.get(port["id"], len(known)), port["id"]))
        around, floating = await asyncio.gather(
            self._around(ports, fresh=True),
            self._networks.floating_ips(SERVICE, port_id=[port["id"] for port in ports]),
        )
        return [
            described(
                port,
                around,
                made.get(port["id"]) or named.get(port["id"]) or {},
                [each for each in floating if each.get("port_id") == port["id"]],
            )
            for port in ports
            if port["network_id"] in around
        ]

    async def all_active(self, row: Row[Any]) -> bool:
        ports = await self._networks.ports(SERVICE, device_id=row.id)
        return all(port["status"] == "ACTIVE" or not port.get("admin_state_up", True) for port in ports)

    async def give_back(self, row: Row[Any]) -> None:
        """Deletes the ports that compute made, and frees those that it was given."""
        given = {nic["port_id"] for nic in row.networks["nics"] if nic["port_id"]}
        ports = await self._networks.ports(SERVICE, device_id=row.id)
        await asyncio.gather(*(self._give_back(port, keep=port["id"] in given) for port in ports))

    async def give_back_one(self, port_id: str, *, keep: bool) -> None:
        await self._give_back({"id": port_id}, keep=keep)

    async def _give_back(self, port: Item, *, keep: bool) -> None:
        if not keep:
            await self._networks.delete_port(SERVICE, port["id"])
            return
        try:
            await self._networks.update_port(
                SERVICE, port["id"], {"device_id": "", "device_owner": "", "binding:host_id": ""}
            )
        except ApiError as error:
            if error.status != 404:
                raise

    async def _around(self, ports: Iterable[Item], *, fresh: bool = False) -> dict[str, Item]:
        """The networks and security groups of ports, by id."""
        network_ids = {port["network_id"] for port in ports}
        group_ids = {group_id for port in ports for group_id in port["security_groups"]}
        networks, groups = await asyncio.gather(
            self._of(self._networks.networks, network_ids, fresh=fresh),
            self._of(self._networks.security_groups, group_ids, fresh=fresh),
        )
        return networks | groups

    async def _of(self, ask: Ask, ids: Iterable[str], *, fresh: bool) -> dict[str, Item]:
        now = self._clock.monotonic()
        found = {}
        missing = []
        for each in ids:
            kept = self._kept.get(each)
            if not fresh and kept is not None and now - kept[0] < KEPT_SECONDS:
                found[each] = kept[1]
            else:
                missing.append(each)
        if missing:
            for item in await ask(SERVICE, id=missing):
                found[item["id"]] = item
                self._kept[item["id"]] = (now, item)
        if len(self._kept) > 1000:
            self._kept.clear()
        return found


def described(port: Item, around: Mapping[str, Item], asked: Item, floating: Iterable[Item] = ()) -> NicInfo:
    """What compute keeps of a port, with the networks and security groups around it."""
    network = around[port["network_id"]]
    kind = port.get("binding:vif_type", "sim")
    if kind in ("binding_failed", "unbound"):
        raise Fault(
            f"Port {port['id']} can't be plugged on host {port.get('binding:host_id')}: its binding failed."
        )
    return {
        "port_id": port["id"],
        "network_id": port["network_id"],
        "label": network["name"],
        "mac": port["mac_address"],
        "mtu": network.get("mtu") or 1500,
        "vif_type": kind,
        "vif_details": port.get("binding:vif_details") or {},
        "fixed_ips": [
            {"address": each["ip_address"], "subnet_id": each["subnet_id"]}
            for each in port.get("fixed_ips", ())
        ],
        "floating_ips": [each["floating_ip_address"] for each in floating],
        "security_groups": [around[each]["name"] for each in port["security_groups"] if each in around],
        "active": port.get("status") == "ACTIVE",
        "tag": asked.get("tag"),
    }


def columns_of(nics: Sequence[NicInfo]) -> dict[str, Any]:
    """What a server's row says of its networks when these are its NICs."""
    groups = dict.fromkeys(name for nic in nics for name in nic["security_groups"])
    return {
        "nics": nics,
        "addresses": _addresses_of(nics),
        "security_groups": [{"name": name} for name in groups],
    }


def _addresses_of(nics: Iterable[NicInfo]) -> dict[str, list[dict[str, Any]]]:
    """As servers show them, by the network's name. Version and address come first: filters rely on it."""
    shown: dict[str, list[dict[str, Any]]] = {}
    for nic in nics:
        entries = shown.setdefault(nic["label"], [])
        for kind, found in (
            ("fixed", [each["address"] for each in nic["fixed_ips"]]),
            ("floating", nic["floating_ips"]),
        ):
            for address in found:
                entries.append(
                    {
                        "version": 6 if ":" in address else 4,
                        "addr": address,
                        "OS-EXT-IPS:type": kind,
                        "OS-EXT-IPS-MAC:mac_addr": nic["mac"],
                    }
                )
    return shown
