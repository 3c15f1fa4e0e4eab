"""The tables of images."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from pileus.kernel.db import Json, Timestamp, metadata

images = Table(
    "image_images",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(64)),
    Column("name", String(255)),
    Column("status", String(16), nullable=False),
    Column("visibility", String(16), nullable=False),
    Column("protected", Boolean, nullable=False),
    Column("hidden", Boolean, nullable=False),
    Column("disk_format", String(20)),
    Column("container_format", String(20)),
    Column("min_disk_gib", Integer, nullable=False),
    Column("min_ram_mib", Integer, nullable=False),
    Column("size_bytes", BigInteger),
    Column("virtual_size_bytes", BigInteger),
    Column("md5", String(32)),
    Column("sha512", String(128)),
    Column("tags", Json, nullable=False),
    Column("properties", Json, nullable=False),
    Column("upload_id", String(36)),
    Column("upload_until", Timestamp),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Index(None, "project_id", "created_at"),
    Index(None, "visibility", "created_at"),
)
"""`upload_id` names the upload under way and its file; past `upload_until` it is taken for broken off."""

tags = Table(
    "image_tags",
    metadata,
    Column("image_id", String(36), ForeignKey("image_images.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", String(255), primary_key=True, index=True),
)
"""The tags again, to be searched."""

properties = Table(
    "image_properties",
    metadata,
    Column("image_id", String(36), ForeignKey("image_images.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("value", Text, nullable=False),
)
"""The properties again, to be searched."""

members = Table(
    "image_members",
    metadata,
    Column("image_id", String(36), ForeignKey("image_images.id", ondelete="CASCADE"), primary_key=True),
    Column("member_id", String(255), primary_key=True, index=True),
    Column("status", String(16), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
)
