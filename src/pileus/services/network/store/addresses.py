"""Which addresses of a subnet are taken, and taking one, without reading them all."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, func, insert, select

from pileus.kernel.db import Tx
from pileus.lib.address import AddressRange, capacity, next_free, to_int, to_text
from pileus.services.network.model import addresses, ports

DRAWS: Final = 24
"""Addresses drawn at once. Only where all of them are taken (one time in twelve with 90 % of a pool in use)
are all addresses of the subnet read."""

_TAKEN_OF = select(addresses.c.ip_address).where(
    addresses.c.subnet_id == bindparam("subnet"), addresses.c.ip_address.in_(bindparam("ips", expanding=True))
)
_ALL_TAKEN = select(addresses.c.ip_address).where(addresses.c.subnet_id == bindparam("subnet"))
_HOLDER = select(addresses.c.port_id).where(
    addresses.c.subnet_id == bindparam("subnet"), addresses.c.ip_address == bindparam("ip")
)
_COUNT = (
    select(addresses.c.subnet_id, func.count().label("used"))
    .where(addresses.c.subnet_id.in_(bindparam("subnets", expanding=True)))
    .group_by(addresses.c.subnet_id)
)
_HOLDERS = (
    select(ports)
    .join(addresses, addresses.c.port_id == ports.c.id)
    .where(addresses.c.subnet_id == bindparam("subnet"))
)
_INSERT = insert(addresses)
_RELEASE = delete(addresses).where(
    addresses.c.port_id == bindparam("port"), addresses.c.ip_address == bindparam("ip")
)
_RELEASE_ALL = delete(addresses).where(addresses.c.port_id == bindparam("port"))


def free_address(
    tx: Tx, subnet_id: str, pools: Sequence[AddressRange], avoided: Iterable[str] = ()
) -> str | None:
    """An address of the pools that nothing has, drawn by chance as Neutron does, or None."""
    size = capacity(pools)
    if size == 0:
        return None
    shunned = set(avoided)
    if size > DRAWS:
        drawn = [_nth(pools, random.randrange(size)) for _ in range(DRAWS)]
        taken = set(tx.scalars(_TAKEN_OF, subnet=subnet_id, ips=drawn)) | shunned
        for ip in drawn:
            if ip not in taken:
                return ip
    used = {to_int(ip) for ip in tx.scalars(_ALL_TAKEN, subnet=subnet_id)} | {to_int(ip) for ip in shunned}
    return next_free(pools, used, random.randrange(size))


def _nth(pools: Sequence[AddressRange], index: int) -> str:
    for pool in pools:
        if index < pool.size:
            return to_text(pool.version, pool.first + index)
        index -= pool.size
    raise IndexError(index)


def holder(tx: Tx, subnet_id: str, ip: str) -> str | None:
    """The port that has this address."""
    port_id: str | None = tx.scalar(_HOLDER, subnet=subnet_id, ip=ip)
    return port_id


def holders(tx: Tx, subnet_id: str) -> Sequence[Row[Any]]:
    """All ports with an address on the subnet."""
    return tx.rows(_HOLDERS, subnet=subnet_id)


def used(tx: Tx, subnet_ids: Sequence[str]) -> dict[str, int]:
    """How many addresses of each subnet are taken."""
    if not subnet_ids:
        return {}
    return {row.subnet_id: row.used for row in tx.rows(_COUNT, subnets=list(subnet_ids))}


def take(tx: Tx, port_id: str, fixed_ips: Sequence[dict[str, str]]) -> None:
    """Raises Duplicate where one is taken already."""
    if fixed_ips:
        tx.execute(_INSERT, [{"port_id": port_id, **fixed_ip} for fixed_ip in fixed_ips])


def release(tx: Tx, port_id: str, ips: Iterable[str]) -> None:
    for ip in ips:
        tx.execute(_RELEASE, {"port": port_id, "ip": ip})


def release_all(tx: Tx, port_id: str) -> None:
    tx.execute(_RELEASE_ALL, {"port": port_id})
