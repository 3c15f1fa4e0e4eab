"""What the meaning of every token draws on, and only a move of the revision changes: read once for each revision."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row

from pileus.kernel.db import Tx
from pileus.services.identity.federation.store import enabled_service_providers
from pileus.services.identity.store import catalog as entries
from pileus.services.identity.store import endpoint_filter, project, role
from pileus.services.identity.store.catalog import Catalog

MOST_PROJECTS = 10_000
"""Remembered at a time."""


@dataclass(frozen=True, slots=True)
class Book:
    roles: role.RoleBook
    catalog: Catalog
    choosy: frozenset[str]
    """Projects that see but some of the catalog."""
    service_providers: list[dict[str, str]]
    _projects: dict[str, Row[Any]] = field(default_factory=dict)

    def project(self, tx: Tx, project_id: str | None) -> Row[Any] | None:
        """A project or domain, as far as tokens depend on it."""
        found = None if project_id is None else self._projects.get(project_id)
        if found is None:
            found = project.get(tx, project_id)
            if found is not None:
                if len(self._projects) >= MOST_PROJECTS:
                    self._projects.clear()
                self._projects[found.id] = found
        return found

    def catalog_for(self, tx: Tx, project_id: str | None) -> Catalog:
        """What a project was given, or all where it was given nothing. Without a project, all."""
        if project_id is None or project_id not in self.choosy:
            return self.catalog
        return Catalog(endpoint_filter.chosen(tx, self.catalog.entries, project_id))


def read(tx: Tx) -> Book:
    return Book(
        role.book(tx),
        Catalog(entries.rows(tx)),
        endpoint_filter.choosy_projects(tx),
        enabled_service_providers(tx),
    )
