"""The record of what was asked of a server, and of how it went."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, select

from pileus.kernel.context import Context
from pileus.kernel.db import Tx
from pileus.services.compute.model import actions

_INSERT = actions.insert()
_LATEST = (
    select(actions.c.id, actions.c.events, actions.c.request_id)
    .where(actions.c.server_id == bindparam("server"), actions.c.action == bindparam("what"))
    .order_by(actions.c.id.desc())
    .limit(1)
)
_UPDATE = (
    actions.update()
    .where(actions.c.id == bindparam("key"))
    .values(events=bindparam("events"), updated_at=bindparam("now"), message=bindparam("said"))
)
_FIND = (
    select(actions)
    .where(actions.c.server_id == bindparam("server"), actions.c.request_id == bindparam("request"))
    .order_by(actions.c.id)
    .limit(1)
)


def begin(
    tx: Tx,
    server_id: str,
    action: str,
    context: Context,
    project_id: str,
    request_id: str,
    message: str | None = None,
) -> None:
    """Records that something was asked for."""
    tx.execute(
        _INSERT,
        {
            "server_id": server_id,
            "request_id": request_id,
            "action": action,
            "user_id": context.user_id or "",
            "project_id": context.project_id or project_id,
            "message": message,
            "started_at": tx.now,
            "updated_at": tx.now,
            "events": [],
        },
    )


def begin_many(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    tx.execute(_INSERT, rows)


def finish(
    tx: Tx,
    server_id: str,
    action: str,
    event: str,
    started_at: datetime,
    host: str | None,
    error: str | None = None,
) -> str | None:
    """Records how the latest action of that name went. Its request's id; None where there is none."""
    row = tx.row(_LATEST, server=server_id, what=action)
    if row is None:
        return None
    happened = {
        "event": event,
        "start": started_at.isoformat(),
        "finish": tx.now.isoformat(),
        "result": "Success" if error is None else "Error",
        "host": host,
        "details": error,
    }
    tx.execute(
        _UPDATE,
        {
            "key": row.id,
            "events": [*row.events, happened],
            "now": tx.now,
            "said": None if error is None else "Error",
        },
    )
    request_id: str = row.request_id
    return request_id


def find(tx: Tx, server_id: str, request_id: str) -> Row[Any] | None:
    return tx.row(_FIND, server=server_id, request=request_id)
