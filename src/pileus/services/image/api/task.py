"""Tasks: what was asked for and takes its time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.dialect import iso_micro
from pileus.kernel.api.fields import field, filter, sort
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, NotFound
from pileus.kernel.http.reply import Reply
from pileus.kernel.ids import new_uuid
from pileus.services.image import limits, store, task_store
from pileus.services.image.api.image import Image, emit
from pileus.services.image.api.imports import begin_task
from pileus.services.image.domain import (
    CONTAINER_FORMATS,
    DISK_FORMATS,
    VISIBILITIES,
    Status,
)
from pileus.services.image.driver import AddressRefused
from pileus.services.image.model import tasks
from pileus.services.image.state import ImageState
from pileus.services.image.work import ImageProgram


def _expires(call: Call, row: Row[Any]) -> Any:
    return UNSET if row.expires_at is None else call.runtime.service.dialect.time(row.expires_at)


class Task(Resource, member="task", collection="tasks", table=tasks, kind="Task"):
    id: str = field(sort)
    type: str = field(filter, sort)
    status: str = field(filter, sort)
    owner: str | None = field(filter, column="project_id")
    input: dict[str, Any] = field()
    result: dict[str, Any] | None = field()
    message: str = field()
    image_id: str | None = field(filter)
    request_id: str | None = field()
    user_id: str | None = field()
    expires_at: str = field(render=_expires)
    created_at: datetime = field(sort)
    updated_at: datetime = field(sort)
    self: str = field(render=lambda call, row: f"/v2/tasks/{row.id}")
    schema: str = field(render=lambda call, row: "/v2/schemas/task")

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        return None  # only administrators get as far as this

    @classmethod
    def not_found(cls, key: str) -> NotFound:
        return NotFound(f"There is no task {key}.")


Task.show(policy="tasks_api_access")


@Task.list(policy="tasks_api_access")
def list_tasks(call: Call, tx: Tx) -> dict[str, Any]:
    """Lists tasks, without what they were asked and what came of it."""
    from pileus.kernel.api.listing import listing

    shown = listing(call, tx, Task)
    for task in shown["tasks"]:
        for name in ("input", "result", "message"):
            task.pop(name, None)
    return {**shown, "schema": "/v2/schemas/tasks"}


class ImageProperties(msgspec.Struct):
    name: str | None = None
    disk_format: str | None = None
    container_format: str | None = None
    visibility: str = "shared"


class ImportInput(msgspec.Struct):
    import_from: str
    import_from_format: str
    image_properties: dict[str, Any]


class NewTask(msgspec.Struct):
    type: Literal["import"]
    input: ImportInput


@Task.create(policy="tasks_api_access", status=201, body=NewTask, prepare=limits.look_up)
def create_task(call: Call, tx: Tx, body: NewTask) -> Reply:
    """A task that makes an image from what is at an address."""
    properties = _properties(body.input.image_properties)
    state: ImageState = call.runtime.state
    try:
        state.fetcher.check(body.input.import_from)
    except AddressRefused as error:
        raise BadRequest(f"import_from does not pass filtering: {error}") from error
    limits.require(call, tx, call.context.project_id, image_count_total=1, image_count_uploading=1)
    row = store.insert(
        tx,
        {
            "id": new_uuid(),
            "project_id": call.project_id,
            "name": properties.name,
            "status": Status.QUEUED,
            "visibility": properties.visibility,
            "protected": False,
            "hidden": False,
            "disk_format": properties.disk_format,
            "container_format": properties.container_format,
            "min_disk_gib": 0,
            "min_ram_mib": 0,
            "tags": [],
            "properties": {},
            "locations": [],
            "copies": 0,
            "staged_bytes": 0,
            "created_at": tx.now,
            "updated_at": tx.now,
        },
    )
    call.runtime.work.begin(tx, ImageProgram, row.id, request_id=call.request_id)
    emit(call, tx, "create", row)
    stores = [state.shelves.default]
    method = {"name": "web-download", "uri": body.input.import_from}
    wanted: Mapping[str, Any] = {**msgspec.to_builtins(body.input), "import_req": {"method": method}}
    progress = {
        "stores": stores,
        "wanted": stores,
        "room": limits.room(call, tx, row.project_id, "image_stage_total"),
    }
    task_id = begin_task(tx, call, row, "import", wanted, progress)
    task = task_store.get(tx, task_id)
    assert task is not None
    return Reply.json(Task.view(call)(task), 201, {"location": f"{call.base_url}/tasks/{task_id}"})


def _properties(given: Mapping[str, Any]) -> ImageProperties:
    try:
        found = msgspec.convert(given, ImageProperties)
    except msgspec.ValidationError as error:
        raise BadRequest(f"image_properties: {error}") from error
    for name, known in (
        ("disk_format", DISK_FORMATS),
        ("container_format", CONTAINER_FORMATS),
        ("visibility", VISIBILITIES),
    ):
        if getattr(found, name) not in known:
            raise BadRequest(f"image_properties: {name} is one of {', '.join(known)}.")
    if found.name is not None and len(found.name) > 255:
        raise BadRequest("image_properties: a name has at most 255 characters.")
    return found


class TaskOfImage(msgspec.Struct, kw_only=True):
    """A task as those see it who see the image."""

    id: str
    image_id: str
    request_id: str | None
    user_id: str | None
    type: str
    status: str
    owner: str | None
    expires_at: str | None
    created_at: str
    updated_at: str
    deleted_at: None = None
    deleted: bool = False
    input: Any
    result: Any
    message: str | None


class TasksOfImage(msgspec.Struct):
    tasks: list[TaskOfImage]


@Image.member_route("GET", "/tasks", policy="get_image")
def tasks_of_image(call: Call, tx: Tx, row: Row[Any]) -> TasksOfImage:
    """What is being done with an image, and what was lately."""
    return TasksOfImage([_of_image(task) for task in task_store.of_image(tx, row.id)])


def _of_image(task: Row[Any]) -> TaskOfImage:
    return TaskOfImage(
        id=task.id,
        image_id=task.image_id,
        request_id=task.request_id,
        user_id=task.user_id,
        type=task.type,
        status=task.status,
        owner=task.project_id,
        expires_at=None if task.expires_at is None else iso_micro(task.expires_at),
        created_at=iso_micro(task.created_at),
        updated_at=iso_micro(task.updated_at),
        input=task.input,
        result=task.result,
        message=task.message,
    )
