"""Regions, services, endpoints, and the catalog made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, Table, select

from pileus.kernel.db import Tx
from pileus.services.identity.model import endpoints, regions, services

_CATALOG = (
    select(
        services.c.id.label("service_id"),
        services.c.type,
        services.c.name,
        endpoints.c.id,
        endpoints.c.interface,
        endpoints.c.region_id,
        endpoints.c.url,
    )
    .join(endpoints, endpoints.c.service_id == services.c.id)
    .where(services.c.enabled.is_(True), endpoints.c.enabled.is_(True))
    .order_by(services.c.type, services.c.name, endpoints.c.region_id, endpoints.c.interface)
)


def rows(tx: Tx) -> list[dict[str, Any]]:
    """The catalog with its addresses still holding `$(project_id)s`."""
    entries: dict[str, dict[str, Any]] = {}
    for row in tx.rows(_CATALOG):
        entry = entries.setdefault(
            row.service_id, {"id": row.service_id, "type": row.type, "name": row.name or "", "endpoints": []}
        )
        entry["endpoints"].append(
            {
                "id": row.id,
                "interface": row.interface,
                "region": row.region_id,
                "region_id": row.region_id,
                "url": row.url,
            }
        )
    return list(entries.values())


def get(tx: Tx, table: Table, key: str) -> Row[Any] | None:
    return tx.row(select(table).where(table.c.id == key))


def insert(tx: Tx, table: Table, values: Mapping[str, Any]) -> Row[Any]:
    """A region, service or endpoint."""
    tx.execute(table.insert(), values)
    row = get(tx, table, values["id"])
    assert row is not None
    return row


def change(tx: Tx, table: Table, key: str, values: Mapping[str, Any]) -> Row[Any]:
    if values:
        tx.execute(table.update().where(table.c.id == key).values(**values))
    row = get(tx, table, key)
    assert row is not None
    return row


def delete(tx: Tx, table: Table, key: str) -> None:
    tx.execute(table.delete().where(table.c.id == key))


def has_children(tx: Tx, region_id: str) -> bool:
    return tx.row(select(regions.c.id).where(regions.c.parent_region_id == region_id)) is not None


def substituted(catalog: list[dict[str, Any]], project_id: str | None) -> list[dict[str, Any]]:
    """The catalog for one token. Addresses that need a project are left out where there is none."""
    found = []
    for entry in catalog:
        shown = []
        for endpoint in entry["endpoints"]:
            url = endpoint["url"]
            if "$(" in url or "%(" in url:
                if project_id is None:
                    continue
                for name in ("$(project_id)s", "%(project_id)s", "$(tenant_id)s", "%(tenant_id)s"):
                    url = url.replace(name, project_id)
            shown.append({**endpoint, "url": url})
        found.append({**entry, "endpoints": shown})
    return found
