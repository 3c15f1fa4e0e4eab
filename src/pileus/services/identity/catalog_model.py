"""Tables around the catalog: which project sees which endpoints, and the policies kept for endpoints."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table, Text

from pileus.kernel.db import Json, metadata

ANY = ""
"""In an association: whatever endpoint, or whatever region."""

endpoint_groups = Table(
    "identity_endpoint_groups",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("description", Text),
    Column("filters", Json, nullable=False),
)
"""`filters` holds any of interface, service_id, region_id; an endpoint that has all of them is in the group."""

project_endpoints = Table(
    "identity_project_endpoints",
    metadata,
    Column(
        "project_id", String(64), ForeignKey("identity_projects.id", ondelete="CASCADE"), primary_key=True
    ),
    Column(
        "endpoint_id",
        String(64),
        ForeignKey("identity_endpoints.id", ondelete="CASCADE"),
        primary_key=True,
        index=True,
    ),
)

project_endpoint_groups = Table(
    "identity_project_endpoint_groups",
    metadata,
    Column(
        "project_id", String(64), ForeignKey("identity_projects.id", ondelete="CASCADE"), primary_key=True
    ),
    Column(
        "endpoint_group_id",
        String(64),
        ForeignKey("identity_endpoint_groups.id", ondelete="CASCADE"),
        primary_key=True,
        index=True,
    ),
)

policies = Table(
    "identity_policies",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("type", String(255), nullable=False),
    Column("blob", Text, nullable=False),
    Column("extra", Json, nullable=False),
)

policy_associations = Table(
    "identity_policy_associations",
    metadata,
    Column("endpoint_id", String(64), primary_key=True),
    Column("service_id", String(64), primary_key=True),
    Column("region_id", String(255), primary_key=True),
    Column(
        "policy_id",
        String(64),
        ForeignKey("identity_policies.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
)
"""An endpoint, a service, or a service in a region has one policy; the columns that are not meant hold ANY."""
