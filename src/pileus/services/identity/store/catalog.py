"""Regions, services, endpoints, and the catalog made of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from pileus.kernel.db import Tx
from pileus.kernel.http.reply import encode_json
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

_PLACES = ("$(project_id)s", "%(project_id)s", "$(tenant_id)s", "%(tenant_id)s")
"""Where an address names the project of the token."""


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


def has_children(tx: Tx, region_id: str) -> bool:
    return tx.row(select(regions.c.id).where(regions.c.parent_region_id == region_id)) is not None


class Catalog:
    """The catalog as tokens have it, as JSON: put together once, since only the project's id tells tokens' apart."""

    __slots__ = ("_shared", "_template", "entries")

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self.entries = entries
        self._template = encode_json(_substituted(entries, _PLACES[0]))
        self._shared = encode_json(_substituted(entries, None))

    def json(self, project_id: str | None) -> bytes:
        """For one token. Addresses that need a project are left out where there is none."""
        if project_id is None:
            return self._shared
        return self._template.replace(_PLACES[0].encode(), encode_json(project_id)[1:-1])


def _substituted(entries: list[dict[str, Any]], project_id: str | None) -> list[dict[str, Any]]:
    found = []
    for entry in entries:
        shown = []
        for endpoint in entry["endpoints"]:
            url = endpoint["url"]
            if "$(" in url or "%(" in url:
                if project_id is None:
                    continue
                for name in _PLACES:
                    url = url.replace(name, project_id)
            shown.append({**endpoint, "url": url})
        found.append({**entry, "endpoints": shown})
    return found
