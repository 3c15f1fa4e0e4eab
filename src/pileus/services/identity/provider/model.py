"""What the provider must remember between two requests."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table

from pileus.kernel.db import Json, Timestamp, metadata

grants = Table(
    "identity_oidc_grants",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_code", String(16), unique=True),
    Column("client_id", String(255), nullable=False),
    Column("user_id", String(64), ForeignKey("identity_users.id", ondelete="CASCADE")),
    Column("request", Json, nullable=False),
    Column("expires_at", Timestamp, nullable=False, index=True),
)
"""Codes that may be exchanged for tokens, once. id is the SHA-256 of the code, which is kept nowhere. A device's grant
has a user_code, and no user until somebody has typed it in."""
