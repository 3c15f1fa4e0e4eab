"""Every SQL statement of the strands, as functions of a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, Row, String, bindparam, case, delete, func, insert, or_, select, update

from pileus.kernel.db import Timestamp, Tx
from pileus.kernel.work.model import strands

LEASE = timedelta(seconds=15)
"""How long a lease holds unless renewed: after this another process takes over from a silent one."""

_HELD = (strands.c.id == bindparam("held_id"), strands.c.epoch == bindparam("held_epoch"))
_TAKEN = (
    strands.c.id,
    strands.c.program,
    strands.c.label,
    strands.c.epoch,
    strands.c.wake,
    strands.c.deadline_at,
    strands.c.tries,
    strands.c.last_error,
    strands.c.doomed,
    strands.c.request_id,
)

_INSERT = insert(strands)
_WAKE = (
    update(strands)
    .where(strands.c.id == bindparam("strand_id"))
    .values(
        wake=strands.c.wake + 1,
        due_at=case(
            (strands.c.lease_owner.is_(None), bindparam("now", type_=Timestamp)), else_=strands.c.due_at
        ),
        request_id=func.coalesce(bindparam("new_request_id", type_=String), strands.c.request_id),
        doomed=or_(strands.c.doomed, bindparam("dooms", type_=Boolean)),
    )
)
_DUE = (
    select(strands.c.id, strands.c.due_at)
    .where(strands.c.due_at <= bindparam("now"), strands.c.program.in_(bindparam("programs", expanding=True)))
    .order_by(strands.c.due_at)
    .limit(bindparam("most"))
)
_NEXT_DUE = select(func.min(strands.c.due_at, type_=Timestamp)).where(
    strands.c.due_at > bindparam("now"), strands.c.lease_owner.is_(None)
)
_TAKE = (
    update(strands)
    .where(
        strands.c.id.in_(bindparam("ids", expanding=True)),
        strands.c.due_at <= bindparam("now"),
        strands.c.program.in_(bindparam("programs", expanding=True)),
    )
    .values(lease_owner=bindparam("owner"), due_at=bindparam("until"), epoch=strands.c.epoch + 1)
    .returning(*_TAKEN)
)
_ENTER = (
    update(strands)
    .where(strands.c.id == bindparam("strand_id"))
    .values(label=bindparam("to"), deadline_at=bindparam("deadline"), tries=0, last_error=None)
)
_RENEW = (
    update(strands)
    .where(strands.c.id.in_(bindparam("ids", expanding=True)), strands.c.lease_owner == bindparam("owner"))
    .values(due_at=bindparam("until"))
)
_RELEASE = (
    update(strands)
    .where(strands.c.lease_owner == bindparam("owner"))
    .values(lease_owner=None, due_at=bindparam("now"), epoch=strands.c.epoch + 1)
)
_TAKE_OVER = (
    update(strands)
    .where(
        func.substr(strands.c.lease_owner, 1, func.length(bindparam("node"))) == bindparam("node"),
        strands.c.lease_owner != bindparam("owner"),
    )
    .values(lease_owner=None, due_at=bindparam("now"), epoch=strands.c.epoch + 1)
)
_quiet = strands.c.wake == bindparam("seen")
_MOVE = (
    update(strands)
    .where(*_HELD)
    .values(
        label=bindparam("to"),
        deadline_at=bindparam("deadline"),
        tries=bindparam("tried"),
        last_error=bindparam("error"),
        due_at=case(
            (_quiet, bindparam("due", type_=Timestamp)), else_=bindparam("woken_due", type_=Timestamp)
        ),
        lease_owner=case(
            (_quiet, bindparam("owner", type_=String)), else_=bindparam("woken_owner", type_=String)
        ),
    )
    .returning(strands.c.wake, strands.c.doomed, strands.c.lease_owner, strands.c.request_id)
)
_LIVING = select(strands.c.id).where(strands.c.id.in_(bindparam("ids", expanding=True)))
_END = delete(strands).where(*_HELD, or_(~strands.c.doomed, bindparam("destroying", type_=Boolean)))


class LeaseLost(Exception):
    """Another engine has taken the strand meanwhile; what this one wanted to commit is void."""


def insert_strand(tx: Tx, values: Mapping[str, Any]) -> None:
    tx.execute(_INSERT, values)


def living(tx: Tx, ids: Collection[str]) -> set[str]:
    return set(tx.scalars(_LIVING, ids=list(ids)))


def wake(tx: Tx, strand_id: str, *, dooms: bool, request_id: str | None) -> bool:
    """Counts a wake, and makes the strand due unless it is running; tells whether there is one."""
    woken = tx.execute(
        _WAKE, {"strand_id": strand_id, "dooms": dooms, "new_request_id": request_id, "now": tx.now}
    )
    return woken.rowcount == 1


def due(tx: Tx, programs: Collection[str], most: int) -> tuple[list[tuple[str, datetime]], datetime | None]:
    """Strands that may be taken, the longest overdue first; and when the next nap ends."""
    found = tx.rows(_DUE, now=tx.now, programs=programs, most=most)
    return [(row.id, row.due_at) for row in found], tx.scalar(_NEXT_DUE, now=tx.now)


def take(tx: Tx, ids: Collection[str], programs: Collection[str], owner: str) -> Sequence[Row[Any]]:
    """Leases those of the strands that nobody holds."""
    return tx.rows(_TAKE, ids=ids, programs=programs, now=tx.now, owner=owner, until=tx.now + LEASE)


def enter(tx: Tx, strand_id: str, label: str, deadline_at: datetime | None) -> None:
    """Puts a leased strand at another label."""
    tx.execute(_ENTER, {"strand_id": strand_id, "to": label, "deadline": deadline_at})


def renew(tx: Tx, ids: Collection[str], owner: str) -> None:
    tx.execute(_RENEW, {"ids": ids, "owner": owner, "until": tx.now + LEASE})


def release(tx: Tx, owner: str) -> None:
    """Gives back all that `owner` holds, due at once."""
    tx.execute(_RELEASE, {"owner": owner, "now": tx.now})


def take_over(tx: Tx, node: str, owner: str) -> int:
    """Ends the leases of earlier incarnations of `node`; how many there were."""
    return tx.execute(_TAKE_OVER, {"node": node + "/", "owner": owner, "now": tx.now}).rowcount


def end(tx: Tx, strand_id: str, epoch: int, *, destroying: bool) -> bool:
    """Deletes the strand; False where the lease is lost, or its end was asked for before it is destroying."""
    ended = tx.execute(_END, {"held_id": strand_id, "held_epoch": epoch, "destroying": destroying})
    return ended.rowcount == 1


def move(tx: Tx, params: Mapping[str, Any]) -> Row[Any]:
    """Moves a leased strand: `due` and `owner` hold unless it was woken since `seen`; raises LeaseLost."""
    moved = tx.execute(_MOVE, params).first()
    if moved is None:
        raise LeaseLost(params["held_id"])
    return moved
