"""Which users and groups stand for what in a directory."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table, Text

from pileus.kernel.db import metadata

directory_entries = Table(
    "identity_directory_entries",
    metadata,
    Column("public_id", String(64), primary_key=True),
    Column(
        "domain_id",
        String(64),
        ForeignKey("identity_projects.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("kind", String(8), nullable=False),
    Column("local_id", String(255), nullable=False),
    Column("dn", Text, nullable=False),
)
"""public_id is that of a user or group, by kind; local_id is what the directory's id attribute says."""
