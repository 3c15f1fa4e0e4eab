"""Every SQL statement of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, func, or_, select

from pileus.kernel.db import Tx
from pileus.services.image.domain import ON_ITS_WAY, Status
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
    tx.execute(images.update().where(images.c.id == image_id).values({"updated_at": tx.now, **values}))
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


def living(tx: Tx, image_id: str) -> Row[Any] | None:
    """The image, unless its end has been asked for."""
    row = get(tx, image_id)
    return None if row is None or row.status == Status.DELETED else row


def delete(tx: Tx, image_id: str) -> None:
    tx.execute(images.delete().where(images.c.id == image_id))


# An upload owns the image while it lasts: what it writes is kept only if it still does.


def begin_upload(
    tx: Tx, image_id: str, upload_id: str, until: datetime, status: Status, states: Sequence[Status]
) -> bool:
    """Takes an image that is in one of these states, or whose upload broke off; False where it is neither."""
    broken_off = images.c.upload_id.is_not(None) & (images.c.upload_until < tx.now)
    broken_off &= images.c.status.in_((Status.SAVING, Status.UPLOADING))
    free = images.c.status.in_(states) & images.c.upload_id.is_(None) & images.c.task_id.is_(None)
    statement = images.update().where(images.c.id == image_id, or_(free, broken_off))
    values = {"status": status, "upload_id": upload_id, "upload_until": until, "updated_at": tx.now}
    return tx.execute(statement.values(staged_bytes=0, **values)).rowcount > 0


def renew_upload(tx: Tx, image_id: str, upload_id: str, until: datetime) -> bool:
    """False where the image was deleted, or the upload given up, meanwhile."""
    return _of_upload(tx, image_id, upload_id, {"upload_until": until})


def end_upload(tx: Tx, image_id: str, upload_id: str, values: Mapping[str, Any]) -> bool:
    """Sets what the upload came to; False where the image was deleted or the upload given up meanwhile."""
    return _of_upload(
        tx, image_id, upload_id, {"upload_id": None, "upload_until": None, "updated_at": tx.now, **values}
    )


def leave_upload(tx: Tx, image_id: str, upload_id: str) -> None:
    """Whoever waits for the upload to be over need wait no longer."""
    mine = images.update().where(images.c.id == image_id, images.c.upload_id == upload_id)
    tx.execute(mine.values(upload_id=None, upload_until=None))


def _of_upload(tx: Tx, image_id: str, upload_id: str, values: Mapping[str, Any]) -> bool:
    mine = images.update().where(
        images.c.id == image_id, images.c.upload_id == upload_id, images.c.status != Status.DELETED
    )
    return tx.execute(mine.values(**values)).rowcount > 0


# What a project has


_COUNT = select(func.count()).where(
    images.c.project_id == bindparam("project_id"), images.c.status != Status.DELETED
)
_SIZE = select(func.coalesce(func.sum(images.c.size_bytes * images.c.copies), 0)).where(
    images.c.project_id == bindparam("project_id"), images.c.status != Status.DELETED
)
_STAGED = select(func.coalesce(func.sum(images.c.staged_bytes), 0)).where(
    images.c.project_id == bindparam("project_id"), images.c.status != Status.DELETED
)
_UPLOADING = select(func.count()).where(
    images.c.project_id == bindparam("project_id"),
    or_(images.c.status.in_(ON_ITS_WAY), images.c.task_id.is_not(None)),
)


def usage(tx: Tx, project_id: str) -> dict[str, int]:
    """By the names of Glance's limits; sizes in bytes."""
    return {
        "image_size_total": int(tx.scalar(_SIZE, project_id=project_id)),
        "image_stage_total": int(tx.scalar(_STAGED, project_id=project_id)),
        "image_count_total": int(tx.scalar(_COUNT, project_id=project_id)),
        "image_count_uploading": int(tx.scalar(_UPLOADING, project_id=project_id)),
    }


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
    """Looked up for each image that a page might have: a tag that many have costs no more than a rare one."""
    return select(tags.c.tag).where(tags.c.image_id == images.c.id, tags.c.tag == tag).exists()


def having(name: str, value: str) -> ColumnElement[bool]:
    """Images with a property of this name and value."""
    found = select(properties.c.name).where(properties.c.image_id == images.c.id)
    return found.where(properties.c.name == name, properties.c.value == value).exists()
