"""The tables of metadata definitions."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, String, Table, Text

from pileus.kernel.db import Json, Timestamp, metadata

namespaces = Table(
    "image_metadef_namespaces",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("namespace", String(80), nullable=False, unique=True),
    Column("display_name", String(80)),
    Column("description", Text),
    Column("visibility", String(16), nullable=False),
    Column("protected", Boolean, nullable=False),
    Column("project_id", String(255)),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Index(None, "created_at", "id"),
)

items = Table(
    "image_metadef_items",
    metadata,
    Column(
        "namespace_id",
        String(36),
        ForeignKey("image_metadef_namespaces.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("kind", String(16), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("body", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
)
"""Objects, properties and tags of a namespace: `kind` is which; `body` all but the name."""

resource_types = Table(
    "image_metadef_resource_types",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
)

associations = Table(
    "image_metadef_associations",
    metadata,
    Column(
        "namespace_id",
        String(36),
        ForeignKey("image_metadef_namespaces.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("name", String(80), primary_key=True),
    Column("prefix", String(80)),
    Column("properties_target", String(80)),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
)
"""Which resource types a namespace is meant for."""
