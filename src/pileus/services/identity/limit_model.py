"""Tables of unified limits: what a service registers, and what projects and domains have instead."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from pileus.kernel.db import metadata

NO_REGION = ""
"""Stands for "no region" in unique keys, where a null would be unlike any other."""

registered_limits = Table(
    "identity_registered_limits",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("service_id", String(64), ForeignKey("identity_services.id"), nullable=False),
    Column("region_key", String(255), nullable=False),
    Column("resource_name", String(255), nullable=False),
    Column("default_limit", Integer, nullable=False),
    Column("description", Text),
    UniqueConstraint("service_id", "region_key", "resource_name"),
)

limits = Table(
    "identity_limits",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("registered_limit_id", String(64), ForeignKey("identity_registered_limits.id"), nullable=False),
    Column("project_id", String(64), index=True),
    Column("domain_id", String(64), index=True),
    Column("owner_id", String(64), nullable=False),
    Column("service_id", String(64), nullable=False),
    Column("region_key", String(255), nullable=False),
    Column("resource_name", String(255), nullable=False),
    Column("resource_limit", Integer, nullable=False),
    Column("description", Text),
    UniqueConstraint("registered_limit_id", "owner_id"),
)
"""Either project_id or domain_id is set; owner_id is the one that is. Service, region and name are those of the
registered limit, which can't change while limits refer to it."""
