"""Every SQL statement of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, bindparam, select

from pileus.kernel.db import Tx
from pileus.kernel.ids import new_uuid
from pileus.services.image.domain import TaskStatus
from pileus.services.image.model import images, tasks

KEPT = timedelta(hours=48)
"""How long a task that has ended can be looked at."""
_GET = select(tasks).where(tasks.c.id == bindparam("id"))
_OF_IMAGE = select(tasks).where(tasks.c.image_id == bindparam("image_id")).order_by(tasks.c.created_at)
_UNENDED = select(tasks.c.id).where(
    tasks.c.image_id == bindparam("image_id"),
    tasks.c.status.in_((TaskStatus.PENDING, TaskStatus.PROCESSING)),
)


def get(tx: Tx, task_id: str) -> Row[Any] | None:
    return tx.row(_GET, id=task_id)


def of_image(tx: Tx, image_id: str) -> Sequence[Row[Any]]:
    """Oldest first."""
    return tx.rows(_OF_IMAGE, image_id=image_id)


def unended(tx: Tx, image_id: str) -> Sequence[str]:
    """Tasks that work on the image, or will."""
    return tx.scalars(_UNENDED, image_id=image_id)


def insert(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    """A task that waits to be begun."""
    task_id = new_uuid()
    made = {
        "id": task_id,
        "status": TaskStatus.PENDING,
        "message": "",
        "progress": {},
        "created_at": tx.now,
        "updated_at": tx.now,
    }
    tx.execute(tasks.insert(), {**made, **values})
    row = get(tx, task_id)
    assert row is not None
    return row


def change(tx: Tx, task_id: str, values: Mapping[str, Any]) -> None:
    tx.execute(tasks.update().where(tasks.c.id == task_id).values({"updated_at": tx.now, **values}))


def claimed(tx: Tx, node: str, seconds: float) -> list[Any]:
    """As `progress` has it: whose process carries the task's bytes, and until when it is believed to live."""
    return [node, tx.now.timestamp() + seconds]


def claim(tx: Tx, task_id: str, node: str, seconds: float) -> bool:
    """Takes or keeps a task for a process, so that its bytes are carried once; False where another has it."""
    task = get(tx, task_id)
    if task is None:
        return True
    owner, until = task.progress.get("claim", (node, 0.0))
    left = until - tx.now.timestamp()
    if owner != node and left > 0:
        return False
    if owner != node or left < seconds / 2:
        change(tx, task_id, {"progress": {**task.progress, "claim": claimed(tx, node, seconds)}})
    return True


def end(
    tx: Tx, task_id: str, status: TaskStatus, message: str = "", result: Mapping[str, Any] | None = None
) -> None:
    """Says what became of a task, and lets go of its image."""
    values = {"status": status, "message": message, "result": result, "expires_at": tx.now + KEPT}
    change(tx, task_id, values)
    tx.execute(images.update().where(images.c.task_id == task_id).values(task_id=None))


def delete(tx: Tx, task_id: str) -> None:
    tx.execute(tasks.delete().where(tasks.c.id == task_id))
