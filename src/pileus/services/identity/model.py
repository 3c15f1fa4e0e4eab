"""The tables of identity. Domains are projects with `is_domain`, as in Keystone."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from pileus.kernel.db import Json, Timestamp, metadata

NO_DOMAIN = ""
"""Stands for "no domain" in unique keys, where a null would be unlike any other."""

LOCAL, FEDERATED, LDAP = "local", "federated", "ldap"

projects = Table(
    "identity_projects",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("domain_id", String(64), nullable=False),
    Column("parent_id", String(64), ForeignKey("identity_projects.id")),
    Column("description", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("is_domain", Boolean, nullable=False),
    Column("tags", Json, nullable=False),
    Column("options", Json, nullable=False),
    Column("extra", Json, nullable=False),
    UniqueConstraint("domain_id", "name"),
    Index(None, "parent_id"),
)

users = Table(
    "identity_users",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("domain_id", String(64), ForeignKey("identity_projects.id"), nullable=False),
    Column("default_project_id", String(64)),
    Column("enabled", Boolean, nullable=False),
    Column("password_hash", String(255)),
    Column("password_changed_at", Timestamp),
    Column("password_expires_at", Timestamp),
    Column("password_self_service", Boolean, nullable=False, default=False),
    Column("failed_auth_count", Integer, nullable=False, default=0),
    Column("failed_auth_at", Timestamp),
    Column("last_active_at", Timestamp),
    Column("options", Json, nullable=False),
    Column("extra", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("origin", String(16), nullable=False, default=LOCAL, server_default=LOCAL),
    Index(None, "domain_id", "name"),
)
Index(
    "uq_identity_users_name",
    users.c.domain_id,
    users.c.name,
    unique=True,
    sqlite_where=users.c.origin != FEDERATED,
    postgresql_where=users.c.origin != FEDERATED,
)
"""Where a user comes from. Two users of identity providers may have one name: they are told apart by what their
provider calls them. password_self_service: the user chose the password itself, so that the minimum age holds for it."""


old_passwords = Table(
    "identity_old_passwords",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column(
        "user_id", String(64), ForeignKey("identity_users.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("password_hash", String(255), nullable=False),
)
"""Passwords that users had before, where settings forbid to use one again."""

groups = Table(
    "identity_groups",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("domain_id", String(64), ForeignKey("identity_projects.id"), nullable=False),
    Column("description", Text, nullable=False),
    Column("extra", Json, nullable=False),
    UniqueConstraint("domain_id", "name"),
)

memberships = Table(
    "identity_memberships",
    metadata,
    Column("group_id", String(64), ForeignKey("identity_groups.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "user_id",
        String(64),
        ForeignKey("identity_users.id", ondelete="CASCADE"),
        primary_key=True,
        index=True,
    ),
)

roles = Table(
    "identity_roles",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("domain_key", String(64), nullable=False),
    Column("description", Text),
    Column("options", Json, nullable=False),
    Column("extra", Json, nullable=False),
    UniqueConstraint("domain_key", "name"),
)

implied_roles = Table(
    "identity_implied_roles",
    metadata,
    Column(
        "prior_role_id", String(64), ForeignKey("identity_roles.id", ondelete="CASCADE"), primary_key=True
    ),
    Column(
        "implied_role_id", String(64), ForeignKey("identity_roles.id", ondelete="CASCADE"), primary_key=True
    ),
)

assignments = Table(
    "identity_assignments",
    metadata,
    Column("actor_kind", String(8), primary_key=True),
    Column("actor_id", String(64), primary_key=True),
    Column("target_kind", String(8), primary_key=True),
    Column("target_id", String(64), primary_key=True),
    Column("role_id", String(64), ForeignKey("identity_roles.id", ondelete="CASCADE"), primary_key=True),
    Column("inherited", Boolean, primary_key=True),
    Index(None, "target_id"),
)
"""actor_kind is user or group; target_kind is project, domain or system (whose id is `system`)."""

regions = Table(
    "identity_regions",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("description", Text, nullable=False),
    Column("parent_region_id", String(255), ForeignKey("identity_regions.id")),
    Column("extra", Json, nullable=False),
)

services = Table(
    "identity_services",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("type", String(255), nullable=False),
    Column("name", String(255)),
    Column("description", Text),
    Column("enabled", Boolean, nullable=False),
    Column("extra", Json, nullable=False),
)

endpoints = Table(
    "identity_endpoints",
    metadata,
    Column("id", String(64), primary_key=True),
    Column(
        "service_id",
        String(64),
        ForeignKey("identity_services.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("interface", String(8), nullable=False),
    Column("region_id", String(255), ForeignKey("identity_regions.id")),
    Column("url", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("extra", Json, nullable=False),
)

revocations = Table(
    "identity_revocations",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("user_id", String(64)),
    Column("project_id", String(64)),
    Column("domain_id", String(64)),
    Column("role_id", String(64)),
    Column("audit_id", String(32)),
    Column("audit_chain_id", String(32)),
    Column("issued_before", Timestamp, nullable=False),
    Column("revoked_at", Timestamp, nullable=False),
)
"""A token that matches every column that is set, and was issued before, is revoked."""
