"""Assertions that were used, so that none is used twice."""

from __future__ import annotations

from sqlalchemy import Column, String, Table

from pileus.kernel.db import Timestamp, metadata

used_assertions = Table(
    "identity_used_assertions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("expires_at", Timestamp, nullable=False, index=True),
)
"""id is the SHA-256 of issuer and assertion id."""
