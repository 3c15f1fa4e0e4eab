"""From wishes to addresses, inside the transaction that makes or changes a port."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Conflict
from pileus.lib.address import canonical_mac, new_mac
from pileus.services.network.domain.allocation import Wish
from pileus.services.network.domain.subnet import pools_of
from pileus.services.network.store import addresses
from pileus.services.network.store import ports as store

FixedIp = dict[str, str]


def fulfil(
    tx: Tx, network_id: str, wishes: Iterable[Wish], kept: Sequence[FixedIp] = (), port_id: str | None = None
) -> list[FixedIp]:
    """An address for each wish; `kept` are those that the port has and keeps where a wish fits.

    409 where an address is taken or none is left.
    """
    found: list[FixedIp] = []
    spare = list(kept)
    for wish in wishes:
        fixed_ip = _kept(wish, spare)
        if fixed_ip is not None:
            spare.remove(fixed_ip)
        elif wish.ip is not None:
            fixed_ip = _certain(tx, wish, port_id)
        else:
            fixed_ip = _any(tx, network_id, wish, found)
        found.append(fixed_ip)
    return found


def _kept(wish: Wish, spare: Sequence[FixedIp]) -> FixedIp | None:
    among = {subnet.id for subnet in wish.subnets}
    for each in spare:
        if each["subnet_id"] in among and wish.ip in (None, each["ip_address"]):
            return each
    return None


def _certain(tx: Tx, wish: Wish, port_id: str | None) -> FixedIp:
    subnet, ip = wish.subnets[0], wish.ip
    assert ip is not None
    holder = addresses.holder(tx, subnet.id, ip)
    if holder not in (None, port_id):
        raise Conflict(
            f"IP address {ip} already allocated in subnet {subnet.id}.", kind="IpAddressAlreadyAllocated"
        )
    return {"subnet_id": subnet.id, "ip_address": ip}


def _any(tx: Tx, network_id: str, wish: Wish, found: Iterable[FixedIp]) -> FixedIp:
    for subnet in wish.subnets:
        avoided = [each["ip_address"] for each in found if each["subnet_id"] == subnet.id]
        ip = addresses.free_address(tx, subnet.id, pools_of(subnet), avoided)
        if ip is not None:
            return {"subnet_id": subnet.id, "ip_address": ip}
    names = ", ".join(f"{subnet.id} ({subnet.cidr})" for subnet in wish.subnets)
    raise Conflict(
        f"No more IP addresses available on network {network_id}: none is free in subnet {names}. Delete "
        "ports, widen the allocation pools or add a subnet.",
        kind="IpAddressGenerationFailure",
    )


def mac_for(tx: Tx, network_id: str, wanted: str | None) -> str:
    """The MAC address asked for, or a new one; 409 where it is taken on the network."""
    if wanted is None:
        while True:
            mac = new_mac(os.urandom)
            if not store.mac_is_taken(tx, network_id, mac):
                return mac
    try:
        mac = canonical_mac(wanted)
    except ValueError as error:
        raise BadRequest(
            f"Invalid input for mac_address. Reason: '{wanted}' is not a valid MAC address."
        ) from error
    if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise BadRequest(
            f"Invalid input for mac_address. Reason: '{wanted}' is no address of a single interface.",
        )
    if store.mac_is_taken(tx, network_id, mac):
        raise Conflict(
            f"Unable to complete operation for network {network_id}. The mac address {mac} is in use.",
            kind="MacAddressInUse",
        )
    return mac
