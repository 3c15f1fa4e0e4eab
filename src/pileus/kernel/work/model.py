"""The table of strands."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from pileus.kernel.db import Timestamp, metadata

strands = Table(
    "strands",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("program", String(64), nullable=False),
    Column("label", String(64), nullable=False),
    # From when on an engine may take the strand: the end of a nap, or of the lease while one holds it. NULL:
    # when woken. One column for both, so that finding work is one range of one index.
    Column("due_at", Timestamp),
    Column("lease_owner", String(128)),
    Column("epoch", BigInteger, nullable=False),
    Column("wake", BigInteger, nullable=False),
    Column("deadline_at", Timestamp),
    Column("tries", Integer, nullable=False),
    Column("last_error", Text),
    Column("doomed", Boolean, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("request_id", String(64)),
    Index(None, "due_at"),
)
