"""The tables of what users hand out in their stead, and of what proves them beside a password."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from pileus.kernel.db import Json, Timestamp, metadata


def _user(name: str = "user_id") -> Column[str]:
    return Column(
        name, String(64), ForeignKey("identity_users.id", ondelete="CASCADE"), nullable=False, index=True
    )


def _project() -> Column[str]:
    return Column(
        "project_id", String(64), ForeignKey("identity_projects.id", ondelete="CASCADE"), index=True
    )


application_credentials = Table(
    "identity_application_credentials",
    metadata,
    Column("id", String(64), primary_key=True),
    _user(),
    _project(),
    Column("name", String(255), nullable=False),
    Column("description", Text),
    Column("secret_hash", String(255), nullable=False),
    Column("expires_at", Timestamp),
    Column("unrestricted", Boolean, nullable=False),
    Column("role_ids", Json, nullable=False),
    Column("access_rule_ids", Json),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("user_id", "name"),
)
"""access_rule_ids null: all may be done with it that its roles allow; empty: nothing."""

access_rules = Table(
    "identity_access_rules",
    metadata,
    Column("id", String(64), primary_key=True),
    _user(),
    Column("service", String(255), nullable=False),
    Column("path", String(255), nullable=False),
    Column("method", String(16), nullable=False),
    UniqueConstraint("user_id", "service", "path", "method"),
)

trusts = Table(
    "identity_trusts",
    metadata,
    Column("id", String(64), primary_key=True),
    _user("trustor_user_id"),
    _user("trustee_user_id"),
    _project(),
    Column("impersonation", Boolean, nullable=False),
    Column("role_ids", Json, nullable=False),
    Column("expires_at", Timestamp),
    Column("remaining_uses", Integer),
    Column(
        "redelegated_trust_id", String(64), ForeignKey("identity_trusts.id", ondelete="CASCADE"), index=True
    ),
    Column("redelegation_count", Integer, nullable=False),
    Column("extra", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

credentials = Table(
    "identity_credentials",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", String(64), nullable=False, index=True),
    Column("project_id", String(64), index=True),
    Column("type", String(255), nullable=False),
    Column("encrypted_blob", Text, nullable=False),
    Column("extra", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)
"""Whose user is gone goes too, by `store.credential`; upstream takes users and projects that it has never heard of."""

consumers = Table(
    "identity_oauth_consumers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("description", Text),
    Column("encrypted_secret", Text, nullable=False),
    Column("extra", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)


def _consumer() -> Column[str]:
    return Column(
        "consumer_id",
        String(64),
        ForeignKey("identity_oauth_consumers.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    )


request_tokens = Table(
    "identity_oauth_request_tokens",
    metadata,
    Column("id", String(64), primary_key=True),
    _consumer(),
    Column("encrypted_secret", Text, nullable=False),
    Column("requested_project_id", String(64), nullable=False),
    Column("verifier", String(64)),
    Column("authorizing_user_id", String(64), ForeignKey("identity_users.id", ondelete="CASCADE")),
    Column("role_ids", Json),
    Column("expires_at", Timestamp),
)

access_tokens = Table(
    "identity_oauth_access_tokens",
    metadata,
    Column("id", String(64), primary_key=True),
    _consumer(),
    _user("authorizing_user_id"),
    Column("encrypted_secret", Text, nullable=False),
    _project(),
    Column("role_ids", Json, nullable=False),
    Column("expires_at", Timestamp),
)

seen_proofs = Table(
    "identity_seen_proofs",
    metadata,
    Column("issuer", String(64), primary_key=True),
    Column("holder", String(64), primary_key=True),
    Column("moment", Integer, primary_key=True),
    Column("nonce", String(255), primary_key=True),
    Column("seen_at", Timestamp, nullable=False, index=True),
)
"""What proves somebody once only: signed requests (RFC 5849, section 3.3) and one-time passcodes (RFC 6238, section 5.2)."""
