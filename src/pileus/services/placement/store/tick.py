"""Ticks: numbers that changes carry, so that what changed since a snapshot can be found.

All that a snapshot does not see has a tick at or above the snapshot's horizon. On SQLite, where writers
follow each other, a tick is a counter. On PostgreSQL a counter would make every claim wait for every other:
there it is the transaction's own id, and the horizon the oldest transaction that was still open.
"""

from __future__ import annotations

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.sql.base import Executable

from pileus.kernel.db import Tx
from pileus.services.placement.model import ticks

_ONE = insert(ticks).values(id=1, last=1)
_NEXT: dict[str, Executable] = {
    "sqlite": _ONE.on_conflict_do_update(
        index_elements=[ticks.c.id], set_={"last": ticks.c.last + 1}
    ).returning(ticks.c.last),
    "postgresql": text("SELECT pg_current_xact_id()::text::bigint"),
}
_HORIZON: dict[str, Executable] = {
    "sqlite": select(func.coalesce(func.max(ticks.c.last), 0) + bindparam("one", 1)),
    "postgresql": text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"),
}


def advance(tx: Tx) -> int:
    """The tick of what this transaction changes."""
    tick: int = tx.scalar(_NEXT[tx.dialect])
    return tick


def horizon(tx: Tx) -> int:
    """Changes with a lower tick are all in this transaction's snapshot."""
    tick: int = tx.scalar(_HORIZON[tx.dialect])
    return tick
