"""Every SQL statement of the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, select

from pileus.kernel.db import Tx
from pileus.kernel.ids import new_uuid
from pileus.services.image.model import cached

_GET = select(cached).where(cached.c.id == bindparam("id"))
_FIND = select(cached).where(cached.c.node == bindparam("node"), cached.c.image_id == bindparam("image_id"))
_OF_NODE = select(cached).where(cached.c.node == bindparam("node")).order_by(cached.c.accessed_at)
_OF_IMAGE = select(cached).where(cached.c.image_id == bindparam("image_id")).order_by(cached.c.node)


def get(tx: Tx, entry_id: str) -> Row[Any] | None:
    return tx.row(_GET, id=entry_id)


def find(tx: Tx, node: str, image_id: str) -> Row[Any] | None:
    """The node's entry of an image."""
    return tx.row(_FIND, node=node, image_id=image_id)


def of_node(tx: Tx, node: str) -> Sequence[Row[Any]]:
    """Those not used for longest first."""
    return tx.rows(_OF_NODE, node=node)


def of_image(tx: Tx, image_id: str) -> Sequence[Row[Any]]:
    return tx.rows(_OF_IMAGE, image_id=image_id)


def queue(tx: Tx, node: str, image_id: str) -> str:
    """The id of a new entry."""
    entry_id = new_uuid()
    values = {"id": entry_id, "node": node, "image_id": image_id, "hits": 0}
    tx.execute(cached.insert(), {**values, "accessed_at": tx.now, "created_at": tx.now})
    return entry_id


def change(tx: Tx, entry_id: str, values: Mapping[str, Any]) -> None:
    tx.execute(cached.update().where(cached.c.id == entry_id).values(dict(values)))


def hit(tx: Tx, entry_id: str) -> None:
    change(tx, entry_id, {"hits": cached.c.hits + 1, "accessed_at": tx.now})


def delete(tx: Tx, entry_id: str) -> None:
    tx.execute(cached.delete().where(cached.c.id == entry_id))
