"""`Idempotency-Key`: a write that is asked for twice is done once and answered twice.

The answer is kept in the transaction that did the work, so that there is no moment at which one is there
without the other.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Column, Integer, LargeBinary, String, Table, bindparam, select

from pileus.kernel.api.call import Call
from pileus.kernel.db import Timestamp, Tx, metadata
from pileus.kernel.errors import ApiError
from pileus.kernel.http.reply import JSON, Reply

HEADER = "idempotency-key"
KEPT = timedelta(hours=24)

answers = Table(
    "idempotent_answers",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("caller", String(64), primary_key=True),
    Column("request", String(1024), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Timestamp, nullable=False, index=True),
)

_FIND = select(answers).where(answers.c.key == bindparam("key"), answers.c.caller == bindparam("caller"))
_FORGET = answers.delete().where(answers.c.created_at < bindparam("before"))


def _caller(call: Call) -> str:
    return call.context.project_id or call.context.user_id or ""


def _request(call: Call) -> str:
    return f"{call.method} {call.path}"[:1024]


def recall(call: Call, tx: Tx, key: str) -> Reply | None:
    """The answer given before, or None. 422 where the key was used for something else."""
    row = tx.row(_FIND, key=key[:255], caller=_caller(call))
    if row is None:
        return None
    if row.request != _request(call):
        raise ApiError(
            f"The idempotency key was used before, for {row.request}.", status=422, kind="KeyReused"
        )
    return Reply(row.status, row.body, {"content-type": JSON, "idempotent-replayed": "true"})


def remember(call: Call, tx: Tx, key: str, reply: Reply) -> None:
    """Keeps the answer for a day."""
    tx.execute(_FORGET, {"before": tx.now - KEPT})
    tx.execute(
        answers.insert(),
        {
            "key": key[:255],
            "caller": _caller(call),
            "request": _request(call),
            "status": reply.status,
            "body": reply.body,
            "created_at": tx.now,
        },
    )
