"""The bytes of images, up and down."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import timedelta
from typing import Any

from sqlalchemy import Row

from pileus.kernel.api.call import Call, ClientGone
from pileus.kernel.api.operation import ANYONE, AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import (
    ApiError,
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    RangeNotSatisfiable,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
)
from pileus.kernel.http.reply import Reply
from pileus.kernel.ids import new_uuid
from pileus.lib.image_format import is_stored_as
from pileus.services.image import store
from pileus.services.image.api.image import Image, emit, image_target
from pileus.services.image.domain import Status, has_data, stored_format
from pileus.services.image.driver import StoreError, StoreFull
from pileus.services.image.state import ImageState
from pileus.services.image.upload import Received, TooBig, receive

routes = Routes()
UPLOAD_LEASE = timedelta(seconds=30)
"""An upload that does not renew it is taken for broken off."""
GIB = 2**30


@Image.member_route("PUT", "/file", policy="upload_image", status=204, raw=True)
async def upload(call: Call, row: Row[Any]) -> None:
    """Takes an image's data. All of it or nothing is seen."""
    if row.disk_format is None or row.container_format is None:
        raise BadRequest("Properties disk_format, container_format must be set prior to saving data.")
    if (call.header("content-type") or "").partition(";")[0].strip() != "application/octet-stream":
        raise UnsupportedMediaType("Image data is sent with content type application/octet-stream.")
    state: ImageState = call.runtime.state
    upload_id = new_uuid()
    db = call.runtime.db
    if not await db.write(_begin, call, row.id, upload_id):
        raise Conflict(
            f"Image status transition from {row.status} to saving is not allowed: it has data, or gets some now."
        )
    renewing = asyncio.create_task(_renew_forever(call, row.id, upload_id))
    try:
        received = await _store(call, state, row, upload_id)
        kept = await db.write(_finish, call, row.id, upload_id, received)
    except BaseException:
        renewing.cancel()
        with suppress(ApiError):
            await asyncio.shield(db.write(_give_up, row.id, upload_id))
        raise
    renewing.cancel()
    if not kept:
        await state.files.remove(row.id)
        raise Gone(f"Image {row.id} was deleted while its data came in.")


async def _store(call: Call, state: ImageState, row: Row[Any], upload_id: str) -> Received:
    announced = call.header("content-length")
    limit = state.settings.max_size_gib * GIB
    if announced is not None and announced.isdigit() and int(announced) > limit:
        raise TooLarge(f"An image may have at most {state.settings.max_size_gib} GiB.")
    writer = await state.files.writer(row.id, upload_id)
    try:
        received = await receive(call.stream(), writer, limit)
        if announced is not None and announced.isdigit() and received.size_bytes != int(announced):
            raise ClientGone
        _check_format(row, received)
        await writer.finish()
    except TooBig as error:
        await writer.abort()
        raise TooLarge(f"An image may have at most {state.settings.max_size_gib} GiB.") from error
    except StoreFull as error:
        await writer.abort()
        raise TooLarge(str(error)) from error
    except StoreError as error:
        await writer.abort()
        raise Unavailable(str(error)) from error
    except BaseException:
        await writer.abort()
        raise
    return received


def _check_format(row: Row[Any], received: Received) -> None:
    """What an image is said to be is not believed: its bytes tell."""
    wanted = stored_format(row.disk_format, row.container_format)
    found = received.inspection
    if wanted is None:
        return
    if not is_stored_as(found, wanted):
        said = "a root filesystem in an archive (container format docker)" if wanted == "rootfs" else wanted
        raise UnsupportedMediaType(
            f"Image content does not match its disk_format: it is said to be {said}, and is {found.format}."
        )
    if not found.safe:
        reasons = "; ".join(found.unsafe_reasons) or "its headers are cut short"
        raise UnsupportedMediaType(f"The image is refused: {reasons}.")


def _begin(tx: Tx, call: Call, image_id: str, upload_id: str) -> bool:
    return store.begin_upload(tx, image_id, upload_id, tx.now + UPLOAD_LEASE)


def _finish(tx: Tx, call: Call, image_id: str, upload_id: str, received: Received) -> bool:
    values = {
        "status": Status.ACTIVE,
        "size_bytes": received.size_bytes,
        "virtual_size_bytes": received.inspection.virtual_size,
        "md5": received.md5,
        "sha512": received.sha512,
    }
    if not store.end_upload(tx, image_id, upload_id, values):
        return False
    emit(call, tx, "upload", store.existing(tx, image_id))
    return True


def _give_up(tx: Tx, image_id: str, upload_id: str) -> None:
    store.end_upload(tx, image_id, upload_id, {"status": Status.QUEUED})


async def _renew_forever(call: Call, image_id: str, upload_id: str) -> None:
    """Keeps the lease while this process lives, and the strand watching for the case that it does not."""
    await call.runtime.db.write(_watch, call, image_id)
    while True:
        await call.runtime.clock.sleep(UPLOAD_LEASE.total_seconds() / 3)
        await call.runtime.db.write(_renew, image_id, upload_id)


def _watch(tx: Tx, call: Call, image_id: str) -> None:
    call.runtime.work.wake(tx, image_id)


def _renew(tx: Tx, image_id: str, upload_id: str) -> None:
    store.renew_upload(tx, image_id, upload_id, tx.now + UPLOAD_LEASE)


_RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")


@Image.member_route("GET", "/file", policy=AUTHENTICATED)
async def download(call: Call, row: Row[Any]) -> Reply:
    """Gives an image's data, or the part that `Range` asks for."""
    viewer = await call.runtime.db.read(store.member, row.id, call.context.project_id or "")
    call.enforce("download_image", image_target(row, None if viewer is None else viewer.member_id))
    if row.status == Status.DEACTIVATED and not call.context.is_admin:
        raise Forbidden("The requested image has been deactivated. Image data download is forbidden.")
    if not has_data(row.status):
        return Reply(204)
    state: ImageState = call.runtime.state
    headers = {
        "content-type": "application/octet-stream",
        "content-md5": row.md5,
        "accept-ranges": "bytes",
        "content-length": str(row.size_bytes),
    }
    start, length = _asked_range(call.header("range"), row.size_bytes)
    if length is None:
        return Reply(200, headers=headers, stream=_checked(state, row, 0, row.size_bytes))
    headers["content-length"] = str(length)
    headers["content-range"] = f"bytes {start}-{start + length - 1}/{row.size_bytes}"
    del headers["content-md5"]
    return Reply(206, headers=headers, stream=_checked(state, row, start, length))


def _asked_range(header: str | None, size: int) -> tuple[int, int | None]:
    """(offset, length) of the part wanted; length None for all. 416 past the end (RFC 9110, section 14)."""
    matched = _RANGE.match(header.strip()) if header else None
    if matched is None or matched.groups() == ("", ""):
        return 0, None
    first, last = matched.groups()
    if first == "":
        length = min(int(last), size)
        start = size - length
    else:
        start = int(first)
        length = min(int(last) if last else size - 1, size - 1) - start + 1
    if start >= size or length <= 0:
        raise RangeNotSatisfiable(
            f"The image has {size} bytes; {header} lies outside.",
            headers={"content-range": f"bytes */{size}"},
        )
    return start, length


async def _checked(state: ImageState, row: Row[Any], offset: int, length: int) -> AsyncGenerator[bytes, None]:
    async for chunk in state.files.read(row.id, offset, length):
        yield chunk


@routes.add("GET", "/info/import", policy=ANYONE)
async def import_info(call: Call) -> dict[str, Any]:
    """The ways of importing that this cloud has: none yet, data is uploaded."""
    return {"import-methods": {"description": "Import methods available.", "type": "array", "value": []}}


@routes.add("GET", "/info/stores", policy=AUTHENTICATED)
async def stores_info(call: Call) -> dict[str, Any]:
    """The stores that this cloud has."""
    state: ImageState = call.runtime.state
    return {"stores": [{"id": state.files.name, "default": "true"}]}
