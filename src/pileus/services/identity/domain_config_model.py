"""The table of what single domains are configured to be: where their users come from."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, String, Table

from pileus.kernel.db import Json, metadata

domain_options = Table(
    "identity_domain_options",
    metadata,
    Column("domain_id", String(64), ForeignKey("identity_projects.id", ondelete="CASCADE"), primary_key=True),
    Column("group_name", String(64), primary_key=True),
    Column("option_name", String(64), primary_key=True),
    Column("value", Json),
    Column("sensitive", Boolean, nullable=False),
)
"""A sensitive value is never shown."""
