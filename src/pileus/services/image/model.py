"""The tables of images and of the tasks that bring them in."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from pileus.kernel.db import Json, Timestamp, metadata

images = Table(
    "image_images",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255)),
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
    Column("checksum", String(32)),
    Column("os_hash_algo", String(16)),
    Column("os_hash_value", String(128)),
    Column("tags", Json, nullable=False),
    Column("properties", Json, nullable=False),
    Column("locations", Json, nullable=False),
    Column("copies", Integer, nullable=False),
    Column("staged_bytes", BigInteger, nullable=False),
    Column("upload_id", String(36)),
    Column("upload_until", Timestamp),
    Column("task_id", String(36)),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Index(None, "project_id", "created_at", "id"),
    Index(None, "visibility", "created_at", "id"),
    Index(None, "created_at", "id"),
    Index(None, "name"),
)
"""`locations`: objects of `url`, `store` and `metadata`, in order; `copies` counts those that take up room of ours.
`upload_id` names the upload under way and its half-written object; past `upload_until` it is taken for broken off.
`task_id` is the task that works on the image now; `staged_bytes` what lies on the stage for it."""

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
    Index(None, "name", "image_id"),
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

tasks = Table(
    "image_tasks",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("type", String(32), nullable=False),
    Column("status", String(16), nullable=False),
    Column("image_id", String(36), index=True),
    Column("project_id", String(255)),
    Column("user_id", String(255)),
    Column("request_id", String(64)),
    Column("input", Json, nullable=False),
    Column("result", Json),
    Column("message", Text, nullable=False),
    Column("progress", Json, nullable=False),
    Column("expires_at", Timestamp),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Index(None, "created_at", "id"),
)
"""`progress` is what the task's strand keeps: `stores` still to be filled, `done` and `failed` ones."""

cached = Table(
    "image_cached",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("node", String(255), nullable=False),
    Column("image_id", String(36), nullable=False),
    Column("size_bytes", BigInteger),
    Column("hits", Integer, nullable=False),
    Column("accessed_at", Timestamp, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Index(None, "node", "image_id", unique=True),
)
"""What a node keeps a copy of. Without a size it is queued."""
