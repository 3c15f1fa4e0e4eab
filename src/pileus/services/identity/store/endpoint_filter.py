"""Which project sees which endpoints: one by one, and by groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Table, bindparam, select

from pileus.kernel.db import Tx
from pileus.services.identity.catalog_model import (
    endpoint_groups,
    project_endpoint_groups,
    project_endpoints,
)
from pileus.services.identity.model import endpoints, projects

_ENDPOINTS = select(endpoints).order_by(endpoints.c.id)
_ENDPOINTS_OF = (
    select(endpoints)
    .join(project_endpoints, project_endpoints.c.endpoint_id == endpoints.c.id)
    .where(project_endpoints.c.project_id == bindparam("project_id"))
    .order_by(endpoints.c.id)
)
_GROUPS_OF = (
    select(endpoint_groups)
    .join(project_endpoint_groups, project_endpoint_groups.c.endpoint_group_id == endpoint_groups.c.id)
    .where(project_endpoint_groups.c.project_id == bindparam("project_id"))
    .order_by(endpoint_groups.c.id)
)
_PROJECTS_OF_ENDPOINT = (
    select(projects)
    .join(project_endpoints, project_endpoints.c.project_id == projects.c.id)
    .where(project_endpoints.c.endpoint_id == bindparam("key"))
    .order_by(projects.c.name)
)
_PROJECTS_OF_GROUP = (
    select(projects)
    .join(project_endpoint_groups, project_endpoint_groups.c.project_id == projects.c.id)
    .where(project_endpoint_groups.c.endpoint_group_id == bindparam("key"))
    .order_by(projects.c.name)
)

_WITH_ENDPOINTS = select(project_endpoints.c.project_id).distinct()
_WITH_GROUPS = select(project_endpoint_groups.c.project_id).distinct()


def is_in(row: Row[Any], filters: Mapping[str, str]) -> bool:
    """Whether an endpoint has what a group's filters say."""
    return all(getattr(row, name) == value for name, value in filters.items())


def in_group(tx: Tx, group: Row[Any]) -> list[Row[Any]]:
    """The endpoints of a group."""
    return [row for row in tx.rows(_ENDPOINTS) if is_in(row, group.filters)]


def groups_of(tx: Tx, project_id: str) -> Sequence[Row[Any]]:
    return tx.rows(_GROUPS_OF, project_id=project_id)


def seen_by(tx: Tx, project_id: str) -> list[Row[Any]]:
    """The endpoints that a project has been given, singly or by groups; none where nothing was given."""
    given = {row.id: row for row in tx.rows(_ENDPOINTS_OF, project_id=project_id)}
    for group in groups_of(tx, project_id):
        given.update((row.id, row) for row in in_group(tx, group))
    return list(given.values())


def projects_of_endpoint(tx: Tx, endpoint_id: str) -> Sequence[Row[Any]]:
    return tx.rows(_PROJECTS_OF_ENDPOINT, key=endpoint_id)


def projects_of_group(tx: Tx, group_id: str) -> Sequence[Row[Any]]:
    return tx.rows(_PROJECTS_OF_GROUP, key=group_id)


def is_linked(tx: Tx, table: Table, link: Mapping[str, str]) -> bool:
    """Whether a project has been given an endpoint (`project_endpoints`) or a group (`project_endpoint_groups`)."""
    return tx.row(select(table).where(*(table.c[name] == value for name, value in link.items()))) is not None


def link(tx: Tx, table: Table, link: Mapping[str, str]) -> None:
    if not is_linked(tx, table, link):
        tx.execute(table.insert(), link)


def unlink(tx: Tx, table: Table, link: Mapping[str, str]) -> bool:
    """Whether it had been given."""
    gone = table.delete().where(*(table.c[name] == value for name, value in link.items()))
    return tx.execute(gone).rowcount > 0


def choosy_projects(tx: Tx) -> frozenset[str]:
    """The projects that have been given any endpoint or group."""
    return frozenset((*tx.scalars(_WITH_ENDPOINTS), *tx.scalars(_WITH_GROUPS)))


def chosen(tx: Tx, entries: list[dict[str, Any]], project_id: str) -> list[dict[str, Any]]:
    """Of the catalog's entries, what a project was given; all where that comes to nothing."""
    seen = {row.id for row in seen_by(tx, project_id)}
    if not seen:
        return entries
    found = []
    for entry in entries:
        kept = [each for each in entry["endpoints"] if each["id"] in seen]
        if kept:
            found.append({**entry, "endpoints": kept})
    return found
