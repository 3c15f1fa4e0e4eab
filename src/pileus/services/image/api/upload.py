"""The bytes of images on their way in: to a store, or to the stage."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from pileus.kernel.api.body_stream import ClientGone
from pileus.kernel.api.call import Call
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Gone, TooLarge, UnsupportedMediaType
from pileus.services.image import store
from pileus.services.image.api.image import Image, emit
from pileus.services.image.domain import Status
from pileus.services.image.driver import Store, StoreError, StoreFull
from pileus.services.image.lease import Lease, held, leave
from pileus.services.image.state import ImageState
from pileus.services.image.upload import Received, Refused, TooBig, check_format, receive

GIB = 2**30
STORE_HEADER = "x-image-meta-store"


@Image.member_route("PUT", "/file", policy="upload_image", status=204, raw=True)
async def upload(call: Call, row: Row[Any]) -> None:
    """Takes an image's data. All of it or nothing is seen."""
    if row.disk_format is None or row.container_format is None:
        raise BadRequest("Properties disk_format, container_format must be set prior to saving data.")
    _check_media_type(call)
    state: ImageState = call.runtime.state
    name = call.header(STORE_HEADER) or state.shelves.default
    if name not in state.shelves.writable:
        raise BadRequest(
            f"There is no store {name!r} to upload to; there are {', '.join(state.shelves.writable)}."
        )
    async with held(call, row, Status.SAVING, (Status.QUEUED,), "image_size_total") as lease:
        if row.status == Status.SAVING:  # an earlier upload broke off and left its bytes behind
            await state.shelves.remove(row.id)
        received = await _take(call, state.shelves.store(name), lease, checked=True)
        kept = await call.runtime.db.write(_finish, call, lease, received, name)
    if not kept:
        await state.shelves.remove(row.id)
        await call.runtime.db.write(leave, call, row.id, lease.id)
        raise Gone(f"Image {row.id} was deleted while its data came in.")


@Image.member_route("PUT", "/stage", policy="upload_image", status=204, raw=True)
async def stage(call: Call, row: Row[Any]) -> None:
    """Takes data to the stage, from where an import brings it to stores."""
    _check_media_type(call)
    state: ImageState = call.runtime.state
    async with held(call, row, Status.UPLOADING, (Status.QUEUED,), "image_stage_total") as lease:
        await state.stage.remove(row.id)
        received = await _take(call, state.stage, lease, checked=False)
        kept = await call.runtime.db.write(_staged, lease, received)
    if not kept:
        await state.stage.remove(row.id)
        await call.runtime.db.write(leave, call, row.id, lease.id)
        raise Gone(f"Image {row.id} was deleted while its data came in.")


def _check_media_type(call: Call) -> None:
    if (call.header("content-type") or "").partition(";")[0].strip() != "application/octet-stream":
        raise UnsupportedMediaType("Image data is sent with content type application/octet-stream.")


async def _take(call: Call, target: Store, lease: Lease, *, checked: bool) -> Received:
    """The request's body, written to the store under the image's id."""
    settings = call.runtime.state.settings
    row = lease.image
    limit = settings.max_size_gib * GIB
    if lease.room is not None:
        limit = min(limit, lease.room)
    announced = _number(call.header("content-length"))
    expected = _number(call.header("x-openstack-image-size"))
    too_large = TooLarge(f"The image is larger than the {limit} bytes that it may have.")
    if announced is not None and announced > limit:
        raise too_large
    writer = await target.writer(row.id, lease.id)
    try:
        received = await receive(lease.heard(call.stream()), writer, limit, hashes=checked)
        if announced is not None and received.size_bytes != announced:
            raise ClientGone
        if expected is not None and received.size_bytes != expected:
            raise BadRequest(f"{received.size_bytes} bytes came where {expected} were announced.")
        if checked:
            exactly = settings.require_format_match
            check_format(row.disk_format, row.container_format, received.inspection, exactly=exactly)
        await writer.finish()
    except BaseException as error:
        try:
            await writer.abort()
        except StoreError:
            lease.left_behind = True
        match error:
            case TooBig():
                raise too_large from error
            case Refused():
                raise UnsupportedMediaType(str(error)) from error
            case StoreFull():
                raise TooLarge(str(error)) from error
        raise
    return received


def _number(header: str | None) -> int | None:
    return int(header) if header is not None and header.isdecimal() and len(header) < 19 else None


def _finish(tx: Tx, call: Call, lease: Lease, received: Received, store_name: str) -> bool:
    shelves = call.runtime.state.shelves
    values = {
        "status": Status.ACTIVE,
        "locations": [shelves.location(store_name, lease.image.id)],
        "copies": 1,
        **received.columns,
    }
    if not store.end_upload(tx, lease.image.id, lease.id, values):
        return False
    emit(call, tx, "upload", store.existing(tx, lease.image.id))
    return True


def _staged(tx: Tx, lease: Lease, received: Received) -> bool:
    values = {"staged_bytes": received.size_bytes, "size_bytes": received.size_bytes}
    return store.end_upload(tx, lease.image.id, lease.id, values)
