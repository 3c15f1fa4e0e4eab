"""Every SQL statement of metadata definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Row, bindparam, func, select

from pileus.kernel.db import Tx
from pileus.kernel.ids import new_uuid
from pileus.services.image.metadef.model import associations, items, namespaces, resource_types

Kind = Literal["object", "property", "tag"]
_NAMESPACE = select(namespaces).where(namespaces.c.id == bindparam("id"))
_ITEMS = (
    select(items)
    .where(items.c.namespace_id == bindparam("namespace_id"), items.c.kind == bindparam("kind"))
    .order_by(items.c.name)
)
_ITEM = select(items).where(
    items.c.namespace_id == bindparam("namespace_id"),
    items.c.kind == bindparam("kind"),
    items.c.name == bindparam("name"),
)
_ASSOCIATIONS = (
    select(associations)
    .where(associations.c.namespace_id.in_(bindparam("ids", expanding=True)))
    .order_by(associations.c.name)
)
_RESOURCE_TYPES = select(resource_types).order_by(resource_types.c.name)


def is_empty(tx: Tx) -> bool:
    return not tx.scalar(select(func.count()).select_from(namespaces))


def insert_namespace(tx: Tx, values: Mapping[str, Any]) -> str:
    """Raises Duplicate."""
    namespace_id = new_uuid()
    times = {"created_at": tx.now, "updated_at": tx.now}
    tx.execute(namespaces.insert(), {"id": namespace_id, **times, **values})
    return namespace_id


def namespace(tx: Tx, namespace_id: str) -> Row[Any]:
    row = tx.row(_NAMESPACE, id=namespace_id)
    assert row is not None
    return row


def change_namespace(tx: Tx, namespace_id: str, values: Mapping[str, Any]) -> Row[Any]:
    changed = namespaces.update().where(namespaces.c.id == namespace_id)
    tx.execute(changed.values({"updated_at": tx.now, **values}))
    return namespace(tx, namespace_id)


def delete_namespace(tx: Tx, namespace_id: str) -> None:
    tx.execute(namespaces.delete().where(namespaces.c.id == namespace_id))


# Objects, properties, tags


def items_of(tx: Tx, namespace_id: str, kind: Kind) -> Sequence[Row[Any]]:
    """By name."""
    return tx.rows(_ITEMS, namespace_id=namespace_id, kind=kind)


def item(tx: Tx, namespace_id: str, kind: Kind, name: str) -> Row[Any] | None:
    return tx.row(_ITEM, namespace_id=namespace_id, kind=kind, name=name)


def insert_items(tx: Tx, namespace_id: str, kind: Kind, bodies: Mapping[str, Any]) -> None:
    """By name. Raises Duplicate."""
    rows = [
        {
            "namespace_id": namespace_id,
            "kind": kind,
            "name": name,
            "body": body,
            "created_at": tx.now,
            "updated_at": tx.now,
        }
        for name, body in bodies.items()
    ]
    if rows:
        tx.execute(items.insert(), rows)


def change_item(tx: Tx, row: Row[Any], name: str, body: Any) -> None:
    """Raises Duplicate where the new name is taken."""
    one = items.update().where(
        items.c.namespace_id == row.namespace_id, items.c.kind == row.kind, items.c.name == row.name
    )
    tx.execute(one.values(name=name, body=body, updated_at=tx.now))


def delete_items(tx: Tx, namespace_id: str, kind: Kind, name: str | None = None) -> int:
    """All of a kind, or one; how many there were."""
    gone = items.delete().where(items.c.namespace_id == namespace_id, items.c.kind == kind)
    if name is not None:
        gone = gone.where(items.c.name == name)
    return tx.execute(gone).rowcount


# Resource types


def types(tx: Tx) -> Sequence[Row[Any]]:
    return tx.rows(_RESOURCE_TYPES)


def associations_of(tx: Tx, namespace_ids: Sequence[str]) -> Sequence[Row[Any]]:
    return tx.rows(_ASSOCIATIONS, ids=list(namespace_ids))


def associate(tx: Tx, namespace_id: str, values: Mapping[str, Any]) -> None:
    """Makes the resource type where there is none of this name. Raises Duplicate."""
    times = {"created_at": tx.now, "updated_at": tx.now}
    if not tx.rows(select(resource_types.c.name).where(resource_types.c.name == values["name"])):
        tx.execute(resource_types.insert(), {"name": values["name"], **times})
    tx.execute(associations.insert(), {"namespace_id": namespace_id, **times, **values})


def dissociate(tx: Tx, namespace_id: str, name: str) -> bool:
    """Whether it was associated."""
    gone = associations.delete().where(
        associations.c.namespace_id == namespace_id, associations.c.name == name
    )
    return tx.execute(gone).rowcount > 0


def meant_for(names: Sequence[str]) -> Any:
    """A clause: namespaces of any of these resource types."""
    return namespaces.c.id.in_(select(associations.c.namespace_id).where(associations.c.name.in_(names)))
