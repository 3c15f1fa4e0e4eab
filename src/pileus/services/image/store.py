"""Every SQL statement of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, select

from pileus.kernel.db import Tx
from pileus.services.image.domain import Status
from pileus.services.image.model import images, members, properties, tags

_GET = select(images).where(images.c.id == bindparam("id"))
_MEMBER = select(members).where(
    members.c.image_id == bindparam("image_id"), members.c.member_id == bindparam("member_id")
)
_MEMBERS = select(members).where(members.c.image_id == bindparam("image_id")).order_by(members.c.member_id)


def get(tx: Tx, image_id: str) -> Row[Any] | None:
    return tx.row(_GET, id=image_id)


def existing(tx: Tx, image_id: str) -> Row[Any]:
    row = get(tx, image_id)
    assert row is not None
    return row


def insert(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    tx.execute(images.insert(), values)
    _index(tx, values["id"], values)
    return existing(tx, values["id"])


def change(tx: Tx, image_id: str, values: Mapping[str, Any]) -> Row[Any]:
    """Sets columns and the time of change."""
    tx.execute(images.update().where(images.c.id == image_id).values(updated_at=tx.now, **values))
    _index(tx, image_id, values)
    return existing(tx, image_id)


def _index(tx: Tx, image_id: str, values: Mapping[str, Any]) -> None:
    if "tags" in values:
        tx.execute(tags.delete().where(tags.c.image_id == image_id))
        if values["tags"]:
            tx.execute(tags.insert(), [{"image_id": image_id, "tag": tag} for tag in values["tags"]])
    if "properties" in values:
        tx.execute(properties.delete().where(properties.c.image_id == image_id))
        if values["properties"]:
            rows = [
                {"image_id": image_id, "name": name, "value": value}
                for name, value in values["properties"].items()
            ]
            tx.execute(properties.insert(), rows)


def delete(tx: Tx, image_id: str) -> None:
    tx.execute(images.delete().where(images.c.id == image_id))


# An upload owns the image while it lasts: what it writes is kept only if it still does.


def begin_upload(tx: Tx, image_id: str, upload_id: str, until: datetime) -> bool:
    """Takes a queued image; False where it is not queued any more."""
    statement = images.update().where(images.c.id == image_id, images.c.status == Status.QUEUED)
    values = {"status": Status.SAVING, "upload_id": upload_id, "upload_until": until, "updated_at": tx.now}
    return tx.execute(statement.values(**values)).rowcount > 0


def renew_upload(tx: Tx, image_id: str, upload_id: str, until: datetime) -> bool:
    return _of_upload(tx, image_id, upload_id, {"upload_until": until})


def end_upload(tx: Tx, image_id: str, upload_id: str, values: Mapping[str, Any]) -> bool:
    """Sets what the upload came to; False where the image was deleted or the upload given up meanwhile."""
    return _of_upload(
        tx, image_id, upload_id, {"upload_id": None, "upload_until": None, "updated_at": tx.now, **values}
    )


def _of_upload(tx: Tx, image_id: str, upload_id: str, values: Mapping[str, Any]) -> bool:
    mine = images.update().where(
        images.c.id == image_id, images.c.upload_id == upload_id, images.c.status == Status.SAVING
    )
    return tx.execute(mine.values(**values)).rowcount > 0


# Members


def member(tx: Tx, image_id: str, member_id: str) -> Row[Any] | None:
    return tx.row(_MEMBER, image_id=image_id, member_id=member_id)


def members_of(tx: Tx, image_id: str) -> Sequence[Row[Any]]:
    return tx.rows(_MEMBERS, image_id=image_id)


def add_member(tx: Tx, image_id: str, member_id: str) -> None:
    values = {"image_id": image_id, "member_id": member_id, "status": "pending"}
    tx.execute(members.insert(), {**values, "created_at": tx.now, "updated_at": tx.now})


def set_member(tx: Tx, image_id: str, member_id: str, status: str) -> None:
    statement = members.update().where(members.c.image_id == image_id, members.c.member_id == member_id)
    tx.execute(statement.values(status=status, updated_at=tx.now))


def remove_member(tx: Tx, image_id: str, member_id: str) -> bool:
    """Whether it was one."""
    gone = members.delete().where(members.c.image_id == image_id, members.c.member_id == member_id)
    return tx.execute(gone).rowcount > 0


# Clauses for lists


def shared_with(status: str | None = None) -> ColumnElement[bool]:
    """Images that the project `:viewer` is a member of, where given with this status."""
    clause = members.c.member_id == bindparam("viewer")
    if status is not None:
        clause &= members.c.status == status
    return images.c.id.in_(select(members.c.image_id).where(clause))


def tagged(tag: str) -> ColumnElement[bool]:
    return images.c.id.in_(select(tags.c.image_id).where(tags.c.tag == tag))


def having(name: str, value: str) -> ColumnElement[bool]:
    """Images with a property of this name and value."""
    return images.c.id.in_(
        select(properties.c.image_id).where(properties.c.name == name, properties.c.value == value)
    )
