"""The table of events: an outbox that is trimmed by age."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from pileus.kernel.db import Json, Timestamp, metadata

events = Table(
    "events",
    metadata,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    # PostgreSQL's transaction id, 0 on SQLite. Numbers are drawn before the commit, so that an event may
    # appear after a later one; in the order of (tx_id, seq), below the oldest open transaction, none does.
    Column("tx_id", BigInteger, nullable=False),
    Column("project_id", String(64)),
    Column("type", String(128), nullable=False),
    Column("resource_id", String(64), nullable=False),
    Column("request_id", String(64)),
    Column("at", Timestamp, nullable=False),
    Column("payload", Json),
    Index(None, "project_id", "tx_id", "seq"),
    Index(None, "tx_id", "seq"),
    Index(None, "at"),
    sqlite_autoincrement=True,  # a trimmed event's number is not given again
)
