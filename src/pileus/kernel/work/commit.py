"""The transaction at the end of a label: rows, flow and events together, if the lease still holds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from pileus.kernel.db import Tx
from pileus.kernel.work import store
from pileus.kernel.work.moves import Move
from pileus.kernel.work.program import Program
from pileus.kernel.work.strand import Strand, Write

Decide = Callable[[datetime], Move]
"""The move, given the transaction's time."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What was done; `row` is None where the strand has ended."""

    move: Move
    row: Row[Any] | None

    @property
    def kept(self) -> bool:
        """Whether the lease goes on."""
        return self.row is not None and self.row.lease_owner is not None


def commit(
    tx: Tx,
    program: Program,
    strand: Strand,
    seen: int,
    owner: str | None,
    write: Write | None,
    decide: Decide,
) -> Committed:
    """Moves the strand and writes what its label wants written. `seen`: the wake counter before the label
    ran. `owner`: who goes on with it; None gives it back whatever the label says. Raises LeaseLost."""
    # Rows first, the strand after them, as requests do that change a row and wake its strand: the other way round
    # each waits for the other, which PostgreSQL notices after a second. A lost lease takes the rows back.
    if write is not None:
        write(tx)
    move = decide(tx.now)
    spec = program.labels.get(move.label)
    destroying = spec is not None and spec.destroying
    row: Row[Any] | None = None
    if not move.ends or not store.end(tx, strand.id, strand.epoch, destroying=destroying):
        if move.ends:  # its end was asked for while it ended: that is another way to go
            move = _destroy(program, tx.now)
            destroying = True
        row = store.move(tx, _params(move, strand, seen, owner, tx.now))
        if row.doomed and not destroying and row.lease_owner is not None:
            move = _destroy(program, tx.now)
            store.enter(tx, strand.id, move.label, move.deadline_at)
    if move.fault is not None and (fault_write := program.on_fault(strand, move.fault)) is not None:
        fault_write(tx)
    return Committed(move, row)


def take(tx: Tx, ids: Collection[str], programs: Mapping[str, Program], owner: str) -> list[dict[str, Any]]:
    """Leases those of the strands that are due, the doomed ones at their label `destroy`."""
    taken = []
    for row in store.take(tx, ids, programs.keys(), owner):
        values = dict(row._mapping)
        program = programs[row.program]
        spec = program.labels.get(row.label)
        if row.doomed and not (spec is not None and spec.destroying):
            move = _destroy(program, tx.now)
            store.enter(tx, row.id, move.label, move.deadline_at)
            values |= {"label": move.label, "deadline_at": move.deadline_at, "tries": 0, "last_error": None}
        taken.append(values)
    return taken


def _destroy(program: Program, now: datetime) -> Move:
    spec = program.labels["destroy"]
    return Move(spec.name, spec.deadline_at(now), keeps=True)


def _params(move: Move, strand: Strand, seen: int, owner: str | None, now: datetime) -> dict[str, Any]:
    onward = now if owner is None else now + store.LEASE
    quiet: tuple[datetime | None, str | None]
    woken: tuple[datetime | None, str | None]
    if move.keeps:
        quiet, woken = (onward, owner), (onward, owner)
    else:
        quiet = (move.due_at, None)
        woken = (onward, owner) if move.woken_due_at is None else (move.woken_due_at, None)
    return {
        "held_id": strand.id,
        "held_epoch": strand.epoch,
        "seen": seen,
        "to": move.label,
        "deadline": move.deadline_at,
        "tried": move.tries,
        "error": move.last_error,
        "due": quiet[0],
        "owner": quiet[1],
        "woken_due": woken[0],
        "woken_owner": woken[1],
    }
