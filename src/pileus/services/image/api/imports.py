"""Importing: data that is staged, or elsewhere, comes to stores by a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Conflict
from pileus.services.image import limits, store, task_store
from pileus.services.image.api.image import Image, image_target
from pileus.services.image.domain import FAILED_IMPORT, IMPORTING_TO, Status, has_data
from pileus.services.image.driver import AddressRefused
from pileus.services.image.state import ImageState
from pileus.services.image.work import ImportProgram


class Method(msgspec.Struct, omit_defaults=True):
    name: str
    uri: str | None = None
    glance_region: str | None = None
    glance_image_id: str | None = None
    glance_service_interface: str | None = None


class ImportRequest(msgspec.Struct, omit_defaults=True):
    method: Method
    stores: list[str] | None = None
    all_stores: bool = False
    all_stores_must_succeed: bool = True


@Image.member_route("POST", "/import", policy=AUTHENTICATED, status=202, body=ImportRequest)
async def import_image(call: Call, row: Row[Any], body: ImportRequest) -> None:
    """Begins a task that brings data to one or more stores."""
    state: ImageState = call.runtime.state
    _check_method(state, body.method)
    target = image_target(row)
    call.enforce("copy_image" if body.method.name == "copy-image" else "modify_image", target)
    stores = _stores(call, state, row, body)
    if body.method.name == "web-download":
        uri = body.method.uri or ""
        try:
            state.fetcher.check(uri)
        except AddressRefused as error:
            raise BadRequest(f"URI for web-download does not pass filtering: {uri}. {error}") from error
    await limits.look_up(call, row.project_id)
    token = call.header("x-auth-token")
    if body.method.name == "glance-download" and token is None:
        raise BadRequest("glance-download asks the other image service with your token: send X-Auth-Token.")
    if not stores:
        await call.runtime.db.write(_nothing_left, row.id)
        return
    task_id = await call.runtime.db.write(_begin, call, row.id, body, stores, token)
    if task_id is None:
        raise Conflict(
            f"New operation on image '{row.id}' is not permitted as prior operation is still in progress."
        )


def _check_method(state: ImageState, method: Method) -> None:
    known = state.settings.import_methods
    if method.name not in known:
        raise BadRequest(f"Unknown import method name '{method.name}'; there are {', '.join(known)}.")
    if method.name == "web-download" and not method.uri:
        raise BadRequest("'uri' is required for the web-download import method.")
    if method.name == "glance-download":
        if method.glance_region is None or method.glance_image_id is None:
            raise BadRequest(
                "'glance_region' and 'glance_image_id' need to be set for the glance-download import method."
            )
        try:
            UUID(method.glance_image_id)
        except ValueError as error:
            raise BadRequest(
                f"Remote image id does not look like a UUID: {method.glance_image_id}"
            ) from error


def _stores(call: Call, state: ImageState, row: Row[Any], body: ImportRequest) -> list[str]:
    """The stores that are to have the image and don't yet."""
    if body.all_stores and body.stores:
        raise BadRequest("'all_stores' can't be given together with 'stores'.")
    header = call.header("x-image-meta-store")
    if body.all_stores:
        wanted = state.shelves.writable
    elif body.stores:
        wanted = list(dict.fromkeys(body.stores))
    else:
        wanted = [header or state.shelves.default]
    for name in wanted:
        if name not in state.shelves.writable:
            raise Conflict(
                f"There is no store {name!r} to import to; there are {', '.join(state.shelves.writable)}."
            )
    if body.method.name != "copy-image":
        return wanted
    there = {each["store"] for each in row.locations}
    if not body.all_stores and (present := [name for name in wanted if name in there]):
        raise BadRequest(f"Image is already present at store '{present[0]}'.")
    return [name for name in wanted if name not in there]


def _check_status(row: Row[Any], method: str) -> None:
    if method == "copy-image":
        if not has_data(row.status):
            raise Conflict("Only images with status active can be targeted for copying.")
    elif has_data(row.status):
        raise Conflict("Image with status active cannot be target for import.")
    elif method == "glance-direct":
        if row.status != Status.UPLOADING:
            raise Conflict("Image needs to be staged before 'glance-direct' method can be used.")
    elif row.status != Status.QUEUED:
        raise Conflict(f"Image needs to be in 'queued' state to use '{method}' method.")
    for name in ("container_format", "disk_format"):
        if getattr(row, name) is None:
            raise Conflict(f"'{name}' needs to be set before import.")


def _begin(
    tx: Tx, call: Call, image_id: str, body: ImportRequest, stores: list[str], token: str | None
) -> str | None:
    """The new task's id; None where another works on the image."""
    row = store.existing(tx, image_id)
    method = body.method.name
    _check_status(row, method)
    if row.task_id is not None or row.upload_id is not None:
        return None
    bytes_known = row.size_bytes or 0
    limits.require(call, tx, row.project_id, image_size_total=bytes_known * len(stores))
    if method != "glance-direct":  # that one counts as being uploaded already
        limits.require(call, tx, row.project_id, image_count_uploading=1)
    if method in ("web-download", "glance-download"):
        limits.require(call, tx, row.project_id, image_stage_total=0)
    progress: dict[str, Any] = {
        "stores": stores,
        "wanted": stores,
        "room": limits.room(call, tx, row.project_id, "image_stage_total"),
    }
    state: ImageState = call.runtime.state
    if not call.context.is_admin and method != "copy-image":
        progress["inject"] = state.settings.inject_properties
    asked: Mapping[str, Any] = msgspec.to_builtins(body)
    values = {
        "image_id": row.id,
        "import_req": {**asked, "all_stores_must_succeed": body.all_stores_must_succeed},
    }
    return begin_task(tx, call, row, "api_image_import", {**values, "backend": stores}, progress, token)


def _nothing_left(tx: Tx, image_id: str) -> None:
    """The image is everywhere already, and whoever waits for it to be is told so."""
    row = store.existing(tx, image_id)
    store.change(tx, image_id, {"properties": {**row.properties, IMPORTING_TO: "", FAILED_IMPORT: ""}})


def begin_task(
    tx: Tx,
    call: Call,
    row: Row[Any],
    kind: str,
    wanted: Mapping[str, Any],
    progress: Mapping[str, Any],
    token: str | None = None,
) -> str:
    """A task that imports into the image, which is its own until then. This process begins it: it has the token."""
    state: ImageState = call.runtime.state
    claim = task_store.claimed(tx, state.node, state.settings.upload_lease_seconds)
    task = task_store.insert(
        tx,
        {
            "type": kind,
            "image_id": row.id,
            "project_id": call.context.project_id,
            "user_id": call.context.user_id,
            "request_id": call.request_id,
            "input": wanted,
            "progress": {**progress, "claim": claim},
        },
    )
    values: dict[str, Any] = {
        "task_id": task.id,
        "properties": {
            **row.properties,
            IMPORTING_TO: ",".join(progress["stores"]),
            FAILED_IMPORT: "",
        },
    }
    if not has_data(row.status):
        values["status"] = Status.IMPORTING
    store.change(tx, row.id, values)
    if token is not None and wanted["import_req"]["method"]["name"] == "glance-download":
        tx.after_commit(lambda: state.tokens.__setitem__(task.id, token))
    call.runtime.work.begin(tx, ImportProgram, task.id, request_id=call.request_id)
    return str(task.id)
