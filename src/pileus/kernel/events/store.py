"""Every SQL statement of the events, as functions of a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Row, Select, bindparam, delete, insert, select, text, tuple_

from pileus.kernel.db import Tx
from pileus.kernel.events.model import events

BATCH = 500

_INSERT = {
    "sqlite": insert(events).values(tx_id=0),
    "postgresql": insert(events).values(tx_id=text("pg_current_xact_id()::text::bigint")),
}
_VISIBLE = {
    "sqlite": text("1 = 1"),
    "postgresql": text("tx_id < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"),
}


def _after(dialect: str) -> Select[Any]:
    place = tuple_(events.c.tx_id, events.c.seq)
    later = place > tuple_(bindparam("tx_id"), bindparam("seq"))
    return select(events).where(later, _VISIBLE[dialect]).order_by(events.c.tx_id, events.c.seq).limit(BATCH)


_AFTER = {dialect: _after(dialect) for dialect in _VISIBLE}
_AFTER_IN_PROJECT = {
    dialect: statement.where(events.c.project_id == bindparam("project_id"))
    for dialect, statement in _AFTER.items()
}
_NEWEST = {
    dialect: select(events.c.tx_id, events.c.seq)
    .where(visible)
    .order_by(events.c.tx_id.desc(), events.c.seq.desc())
    .limit(1)
    for dialect, visible in _VISIBLE.items()
}
_AT = select(events.c.seq).where(events.c.tx_id == bindparam("tx_id"), events.c.seq == bindparam("seq"))
_OLD = select(events.c.seq).where(events.c.at < bindparam("before")).limit(BATCH).scalar_subquery()
_TRIM = delete(events).where(events.c.seq.in_(_OLD))


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the stream; its text is an event's id, which clients hand back as they got it."""

    tx_id: int
    seq: int

    def __str__(self) -> str:
        return f"{self.tx_id}-{self.seq}"

    @classmethod
    def parsed(cls, words: str) -> Self | None:
        """None where this is no event's id."""
        tx_id, dash, seq = words.strip().partition("-")
        if not dash or not all(part.isascii() and part.isdigit() and len(part) < 20 for part in (tx_id, seq)):
            return None
        return cls(min(int(tx_id), _MOST), min(int(seq), _MOST))


_MOST = 2**63 - 1
START = Position(0, 0)


def add(tx: Tx, values: Mapping[str, Any]) -> None:
    tx.execute(_INSERT[tx.dialect], values)


def after(tx: Tx, project_id: str | None, position: Position) -> Sequence[Row[Any]]:
    """The next events, at most BATCH; of all projects where `project_id` is None."""
    place = {"tx_id": position.tx_id, "seq": position.seq}
    if project_id is None:
        return tx.rows(_AFTER[tx.dialect], **place)
    return tx.rows(_AFTER_IN_PROJECT[tx.dialect], project_id=project_id, **place)


def newest(tx: Tx) -> Position:
    """Where a stream of what is yet to come starts."""
    row = tx.row(_NEWEST[tx.dialect])
    return START if row is None else Position(row.tx_id, row.seq)


def is_there(tx: Tx, position: Position) -> bool:
    """Whether the event at this place has not been trimmed."""
    return tx.row(_AT, tx_id=position.tx_id, seq=position.seq) is not None


def trim(tx: Tx, before: datetime) -> int:
    """Deletes events older than `before`, at most BATCH; how many."""
    return tx.execute(_TRIM, {"before": before}).rowcount
