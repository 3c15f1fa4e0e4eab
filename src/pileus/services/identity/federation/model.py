"""The tables of federation."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, ForeignKeyConstraint, Integer, String, Table, Text

from pileus.kernel.db import Json, Timestamp, metadata

identity_providers = Table(
    "identity_providers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column(
        "domain_id",
        String(64),
        ForeignKey("identity_projects.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("enabled", Boolean, nullable=False),
    Column("description", Text),
    Column("authorization_ttl", Integer),
)
"""authorization_ttl is in minutes; null leaves it to the settings."""

remote_ids = Table(
    "identity_provider_remote_ids",
    metadata,
    Column("remote_id", String(255), primary_key=True),
    Column(
        "idp_id",
        String(64),
        ForeignKey("identity_providers.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
)
"""What an identity provider calls itself: its issuer or entity id. Nobody else may."""

mappings = Table(
    "identity_mappings",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("rules", Json, nullable=False),
    Column("schema_version", String(5), nullable=False),
)

protocols = Table(
    "identity_protocols",
    metadata,
    Column("idp_id", String(64), ForeignKey("identity_providers.id", ondelete="CASCADE"), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("mapping_id", String(64), nullable=False),
    Column("remote_id_attribute", String(64)),
)
"""mapping_id is no foreign key: upstream lets a mapping go while a protocol still names it."""

service_providers = Table(
    "identity_service_providers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("enabled", Boolean, nullable=False),
    Column("description", Text),
    Column("auth_url", String(256), nullable=False),
    Column("sp_url", String(256), nullable=False),
    Column("relay_state_prefix", String(256), nullable=False),
)

federated_users = Table(
    "identity_federated_users",
    metadata,
    Column("idp_id", String(64), primary_key=True),
    Column("protocol_id", String(64), primary_key=True),
    Column("unique_id", String(255), primary_key=True),
    Column(
        "user_id",
        String(64),
        ForeignKey("identity_users.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    ForeignKeyConstraint(
        ["idp_id", "protocol_id"], ["identity_protocols.idp_id", "identity_protocols.id"], ondelete="CASCADE"
    ),
)
"""By what name an identity provider knows a user of ours."""

expiring_memberships = Table(
    "identity_expiring_memberships",
    metadata,
    Column("user_id", String(64), ForeignKey("identity_users.id", ondelete="CASCADE"), primary_key=True),
    Column("group_id", String(64), ForeignKey("identity_groups.id", ondelete="CASCADE"), primary_key=True),
    Column("idp_id", String(64), ForeignKey("identity_providers.id", ondelete="CASCADE"), primary_key=True),
    Column("expires_at", Timestamp, nullable=False),
)
"""Groups that a user is in because its identity provider lately said so."""
