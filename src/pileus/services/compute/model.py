"""The compute service's tables."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from pileus.kernel.db import Json, RawJson, Timestamp, metadata

flavors = Table(
    "compute_flavors",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("vcpus", Integer, nullable=False),
    Column("memory_mib", Integer, nullable=False),
    Column("root_gib", Integer, nullable=False),
    Column("ephemeral_gib", Integer, nullable=False, default=0),
    Column("swap_mib", Integer, nullable=False, default=0),
    Column("rxtx_factor", Float, nullable=False, default=1.0),
    Column("is_public", Boolean, nullable=False, default=True),
    Column("description", Text),
    Column("extra_specs", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

flavor_access = Table(
    "compute_flavor_access",
    metadata,
    Column("flavor_id", ForeignKey("compute_flavors.id", ondelete="CASCADE"), primary_key=True),
    Column("project_id", String(64), primary_key=True),
)

keypairs = Table(
    "compute_keypairs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("type", String(16), nullable=False),
    Column("public_key", Text, nullable=False),
    Column("fingerprint", String(255), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("user_id", "name"),
)

groups = Table(
    "compute_server_groups",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(64), nullable=False, index=True),
    Column("user_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("policy", String(32), nullable=False),
    Column("rules", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

servers = Table(
    "compute_servers",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("description", String(255)),
    Column("hostname", String(255), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("launched_at", Timestamp),
    Column("deleted_at", Timestamp),
    # What it is and what is being done with it (domain.py).
    Column("vm_state", String(16), nullable=False),
    Column("task_state", String(32)),
    Column("task_since", Timestamp),
    Column("power_state", Integer, nullable=False),
    Column("fault", RawJson),
    Column("locked_by", String(8)),
    Column("locked_reason", String(255)),
    # What it is made of.
    Column("flavor", RawJson, nullable=False),
    Column("flavor_id", String(255), nullable=False),
    Column("vcpus", Integer, nullable=False),
    Column("memory_mib", Integer, nullable=False),
    Column("disk_gib", Integer, nullable=False),
    Column("image_id", String(36), nullable=False),
    Column("image", RawJson, nullable=False),
    Column("key_name", String(255)),
    Column("key_type", String(16)),
    Column("public_key", Text),
    Column("user_data", Text),
    Column("personality", Json),
    Column("password", Text),
    Column("config_drive", Boolean, nullable=False),
    Column("metadata", RawJson, nullable=False),
    Column("tags", RawJson, nullable=False),
    Column("trusted_certificates", Json),
    Column("access_ip_v4", String(39), nullable=False),
    Column("access_ip_v6", String(39), nullable=False),
    Column("disk_config", String(8), nullable=False),
    Column("reservation_id", String(16), nullable=False),
    Column("launch_index", Integer, nullable=False),
    # Where it should be, and where it is.
    Column("scheduler_hints", RawJson, nullable=False),
    Column("group_id", String(36), index=True),
    Column("pinned_zone", String(255)),
    Column("wanted_host", String(255)),
    Column("forced_host", Boolean, nullable=False),
    Column("availability_zone", String(255)),
    Column("host", String(255), index=True),
    Column("hypervisor", String(32)),
    Column("boot_id", String(64)),
    # Its networks: what was asked for, and what there is.
    Column("networks", Json, nullable=False),
    Column("security_groups", RawJson, nullable=False),
    Column("nics", Json, nullable=False),
    Column("nics_plugged", Boolean, nullable=False, default=True),
    Column("unseen", Integer, nullable=False, default=0),  # changes of its ports that were not looked at yet
    Column("addresses", RawJson, nullable=False),
    Index("ix_compute_servers_listed", "project_id", "deleted_at", "created_at", "id"),
    Index("ix_compute_servers_all", "deleted_at", "created_at", "id"),
    Index("ix_compute_servers_updated", "updated_at"),
)

actions = Table(
    "compute_server_actions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("server_id", String(36), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("message", String(255)),
    Column("started_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("events", Json, nullable=False),
    Index("ix_compute_server_actions_server", "server_id", "request_id"),
)

snapshots = Table(
    "compute_snapshots",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("image_id", String(36), nullable=False),
    Column("server_id", String(36), nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

hosts = Table(
    "compute_hosts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("hypervisor_type", String(32), nullable=False),
    Column("hypervisor_version", Integer, nullable=False),
    Column("hypervisors", Json, nullable=False),
    Column("vcpus", Integer, nullable=False),
    Column("memory_mib", Integer, nullable=False),
    Column("disk_gib", Integer, nullable=False),
    Column("cpu_info", Json, nullable=False),
    Column("host_ip", String(39), nullable=False),
    Column("started_at", Timestamp),
    Column("created_at", Timestamp, nullable=False),
)

services = Table(
    "compute_services",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("host", String(255), nullable=False),
    Column("binary", String(255), nullable=False),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("disabled_reason", String(255)),
    Column("forced_down", Boolean, nullable=False, default=False),
    Column("seen_at", Timestamp),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("host", "binary"),
)

aggregates = Table(
    "compute_aggregates",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uuid", String(36), nullable=False),
    Column("name", String(255), nullable=False, unique=True),
    Column("metadata", Json, nullable=False),
    Column("hosts", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp),
)
