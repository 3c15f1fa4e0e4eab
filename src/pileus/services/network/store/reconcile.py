"""Rows against what the engine holds."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Table, select, update

from pileus.kernel.db import Tx
from pileus.kernel.work import Work
from pileus.services.network.driver import Inventory
from pileus.services.network.model import networks, ports, routers, security_groups


class Difference(msgspec.Struct, frozen=True):
    """Ids by kind."""

    orphans: dict[str, tuple[str, ...]]
    """In the engine, with no row that wants them and no strand that is about to remove them."""
    missing: dict[str, tuple[str, ...]]
    """Wanted, and said to be in the engine, which does not have them."""


_SELECTS: Final = {
    "network": select(networks.c.id, networks.c.realized),
    "port": select(ports.c.id, ports.c.realized).where(
        ports.c.router_id.is_(None), ports.c.device_owner != "network:floatingip"
    ),
    "router": select(routers.c.id),
    "security_group": select(security_groups.c.id, security_groups.c.realized),
}
_TABLES: Final[dict[str, Table]] = {"network": networks, "port": ports, "security_group": security_groups}


def compare(tx: Tx, work: Work, inventory: Inventory) -> Difference:
    """What differs. The inventory must be older than the transaction: things enter the engine after their
    rows, so what is in it and has no row is nobody's."""
    held = {
        "network": inventory.networks,
        "port": inventory.ports,
        "router": inventory.routers,
        "security_group": inventory.security_groups,
    }
    orphans: dict[str, tuple[str, ...]] = {}
    missing: dict[str, tuple[str, ...]] = {}
    for kind, statement in _SELECTS.items():
        rows = tx.rows(statement)
        loose = held[kind] - {row.id for row in rows}
        orphans[kind] = tuple(sorted(loose - work.living(tx, loose))) if loose else ()
        missing[kind] = tuple(
            row.id for row in rows if row.id not in held[kind] and getattr(row, "realized", True)
        )
    return Difference(orphans, missing)


def forget(tx: Tx, kind: str, ids: tuple[str, ...]) -> None:
    """The engine has lost them: whatever refers to them waits until their strands have made them anew."""
    table = _TABLES.get(kind)
    if table is not None and ids:
        tx.execute(update(table).where(table.c.id.in_(ids)).values(realized=False))
