"""Tables of placement."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, String, Table

from pileus.kernel.db import Timestamp, metadata

providers = Table(
    "placement_resource_providers",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("generation", Integer, nullable=False),
    Column("root_id", String(36), nullable=False, index=True),
    Column("parent_id", String(36), ForeignKey("placement_resource_providers.id"), index=True),
    # Ticks (store/tick.py) of the last change of anything that a search looks at, and of the last that was
    # more than a claim: other processes read again what has changed since they last looked, and no more.
    Column("changed", BigInteger, nullable=False, index=True),
    Column("described", BigInteger, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
)

inventories = Table(
    "placement_inventories",
    metadata,
    Column(
        "provider_id",
        String(36),
        ForeignKey("placement_resource_providers.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("resource_class", String(255), primary_key=True, index=True),
    Column("total", Integer, nullable=False),
    Column("reserved", Integer, nullable=False),
    Column("min_unit", Integer, nullable=False),
    Column("max_unit", Integer, nullable=False),
    Column("step_size", Integer, nullable=False),
    Column("allocation_ratio", Float(53), nullable=False),
    Column("updated_at", Timestamp, nullable=False),
)

provider_traits = Table(
    "placement_provider_traits",
    metadata,
    Column(
        "provider_id",
        String(36),
        ForeignKey("placement_resource_providers.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("trait", String(255), primary_key=True, index=True),
)

provider_aggregates = Table(
    "placement_provider_aggregates",
    metadata,
    Column(
        "provider_id",
        String(36),
        ForeignKey("placement_resource_providers.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("aggregate_id", String(36), primary_key=True),
)

traits = Table(
    "placement_traits",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("updated_at", Timestamp, nullable=False),
)
"""The custom ones; the standard ones are known (names.py)."""

resource_classes = Table(
    "placement_resource_classes",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("updated_at", Timestamp, nullable=False),
)
"""The custom ones; the standard ones are known (names.py)."""

consumers = Table(
    "placement_consumers",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False, index=True),
    Column("user_id", String(255), nullable=False),
    Column("type", String(255)),
    Column("generation", Integer, nullable=False),
)
"""Exist as long as they have allocations."""

allocations = Table(
    "placement_allocations",
    metadata,
    Column(
        "consumer_id", String(36), ForeignKey("placement_consumers.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("provider_id", String(36), ForeignKey("placement_resource_providers.id"), primary_key=True),
    Column("resource_class", String(255), primary_key=True),
    Column("used", Integer, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Index(None, "provider_id", "resource_class", "used"),
)

ticks = Table(
    "placement_ticks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("last", BigInteger, nullable=False),
)
"""One row, and on SQLite only: see store/tick.py."""
