"""Flavors and who may use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, exists, select

from pileus.kernel.db import Tx
from pileus.services.compute.model import flavor_access, flavors

_FIND = select(flavors).where(flavors.c.id == bindparam("flavor_id"))
_DELETE = flavors.delete().where(flavors.c.id == bindparam("flavor_id"))
_PROJECTS = (
    select(flavor_access.c.project_id)
    .where(flavor_access.c.flavor_id == bindparam("flavor"))
    .order_by(flavor_access.c.project_id)
)
_REMOVE_ACCESS = flavor_access.delete().where(
    flavor_access.c.flavor_id == bindparam("flavor"), flavor_access.c.project_id == bindparam("project")
)


def has_access(flavor_id: ColumnElement[str], project_id: Any) -> ColumnElement[bool]:
    """Whether a project may use a flavor that is not public."""
    return exists().where(flavor_access.c.flavor_id == flavor_id, flavor_access.c.project_id == project_id)


def find(tx: Tx, flavor_id: str) -> Row[Any] | None:
    return tx.row(_FIND, flavor_id=flavor_id)


def insert(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    """Raises Duplicate where the name is taken."""
    tx.execute(flavors.insert(), values)
    row = find(tx, values["id"])
    assert row is not None
    return row


def update(tx: Tx, flavor_id: str, **values: Any) -> Row[Any]:
    tx.execute(flavors.update().where(flavors.c.id == flavor_id).values(**values))
    row = find(tx, flavor_id)
    assert row is not None
    return row


def delete(tx: Tx, flavor_id: str) -> None:
    tx.execute(_DELETE, {"flavor_id": flavor_id})


def projects_of(tx: Tx, flavor_id: str) -> Sequence[str]:
    return tx.scalars(_PROJECTS, flavor=flavor_id)


def add_access(tx: Tx, flavor_id: str, project_id: str) -> None:
    """Raises Duplicate where it has access already."""
    tx.execute(flavor_access.insert(), {"flavor_id": flavor_id, "project_id": project_id})


def remove_access(tx: Tx, flavor_id: str, project_id: str) -> bool:
    """Whether it had access."""
    return tx.execute(_REMOVE_ACCESS, {"flavor": flavor_id, "project": project_id}).rowcount > 0
