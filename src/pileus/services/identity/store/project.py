"""Projects and domains, which are one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, select

from pileus.kernel.db import Tx
from pileus.services.identity.model import assignments, groups, projects, users
from pileus.services.identity.store import credential, limit

_GET = select(projects).where(projects.c.id == bindparam("id"))
_BY_NAME = select(projects).where(
    projects.c.name == bindparam("name"),
    projects.c.domain_id == bindparam("domain_id"),
    projects.c.is_domain.is_(False),
)
_DOMAIN_BY_NAME = select(projects).where(projects.c.name == bindparam("name"), projects.c.is_domain.is_(True))
_CHILDREN = select(projects).where(projects.c.parent_id == bindparam("id"), projects.c.is_domain.is_(False))
_IN_DOMAIN = select(projects.c.id).where(
    projects.c.domain_id == bindparam("id"), projects.c.is_domain.is_(False)
)
_ALL = select(projects).where(projects.c.is_domain.is_(False)).order_by(projects.c.name)
_ALL_DOMAINS = select(projects).where(projects.c.is_domain.is_(True)).order_by(projects.c.name)


def get(tx: Tx, project_id: str | None) -> Row[Any] | None:
    return tx.row(_GET, id=project_id)


def by_name(tx: Tx, name: str, domain_id: str) -> Row[Any] | None:
    return tx.row(_BY_NAME, name=name, domain_id=domain_id)


def domain_by_name(tx: Tx, name: str) -> Row[Any] | None:
    return tx.row(_DOMAIN_BY_NAME, name=name)


def insert(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    tx.execute(projects.insert(), values)
    row = get(tx, values["id"])
    assert row is not None
    return row


def change(tx: Tx, project_id: str, values: Mapping[str, Any]) -> Row[Any]:
    if values:
        tx.execute(projects.update().where(projects.c.id == project_id).values(**values))
    row = get(tx, project_id)
    assert row is not None
    return row


def children(tx: Tx, project_id: str) -> Sequence[Row[Any]]:
    return tx.rows(_CHILDREN, id=project_id)


def subtree(tx: Tx, project_id: str) -> list[Row[Any]]:
    """All that lie below, nearest first."""
    found: list[Row[Any]] = []
    queue = [project_id]
    while queue:
        below = children(tx, queue.pop(0))
        found.extend(below)
        queue.extend(row.id for row in below)
    return found


def ancestors(tx: Tx, row: Row[Any]) -> list[Row[Any]]:
    """All above, nearest first; the last is the domain."""
    return ancestors_of(tx, row.parent_id)


def ancestors_of(tx: Tx, project_id: str | None) -> list[Row[Any]]:
    """The same for what would lie below `project_id`: this one first."""
    found = []
    parent = get(tx, project_id) if project_id else None
    while parent is not None:
        found.append(parent)
        parent = get(tx, parent.parent_id) if parent.parent_id else None
    return found


def all_projects(tx: Tx) -> Sequence[Row[Any]]:
    return tx.rows(_ALL)


def all_domains(tx: Tx) -> Sequence[Row[Any]]:
    return tx.rows(_ALL_DOMAINS)


def delete(tx: Tx, project_id: str) -> None:
    """The project and what was granted on it."""
    tx.execute(assignments.delete().where(assignments.c.target_id == project_id))
    limit.forget_owner(tx, project_id)
    credential.forget(tx, project_id=project_id)
    tx.execute(users.update().where(users.c.default_project_id == project_id).values(default_project_id=None))
    tx.execute(projects.delete().where(projects.c.id == project_id))


def delete_domain(tx: Tx, domain_id: str) -> None:
    """The domain with all its users, groups and projects."""
    for table in (users, groups):
        ids = tx.scalars(select(table.c.id).where(table.c.domain_id == domain_id))
        if ids:
            tx.execute(assignments.delete().where(assignments.c.actor_id.in_(ids)))
            credential.forget(tx, user_ids=ids)
        tx.execute(table.delete().where(table.c.domain_id == domain_id))
    for row in reversed(subtree(tx, domain_id)):
        delete(tx, row.id)
    for project_id in tx.scalars(_IN_DOMAIN, id=domain_id):
        delete(tx, project_id)
    delete(tx, domain_id)
