"""The bytes of images on their way out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from sqlalchemy import Row

from pileus.kernel.api.answer import NOTHING, OCTETS
from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Forbidden, NotFound, RangeNotSatisfiable
from pileus.kernel.http.reply import FileRange, Reply
from pileus.services.image import cache_store, store
from pileus.services.image.api.image import Image, image_target
from pileus.services.image.domain import Status, has_data
from pileus.services.image.driver import StoreError
from pileus.services.image.state import ImageState

_RANGE = re.compile(r"^bytes=(\d{0,18})-(\d{0,18})$", re.ASCII)


@Image.member_route("GET", "/file", policy=AUTHENTICATED, answers=OCTETS, also={206: OCTETS, 204: NOTHING})
async def download(call: Call, row: Row[Any]) -> Reply:
    """Gives an image's data, or the part that `Range` asks for."""
    state: ImageState = call.runtime.state
    viewer, cached = await call.runtime.db.read(_look, row.id, call.context.project_id or "", state.node)
    target = image_target(row, None if viewer is None else viewer.member_id)
    call.enforce("download_image", target)
    if row.status == Status.DEACTIVATED and not call.context.is_admin:
        raise Forbidden("The requested image has been deactivated. Image data download is forbidden.")
    locations = _preferred(call, state, row, target)
    if not has_data(row.status):
        return Reply(204)
    size = row.size_bytes
    if size is None:  # data elsewhere that nobody has counted yet
        stream = await _begun(state.shelves.read(row.id, locations[0]))
        return Reply(200, headers={"content-type": OCTETS.type}, stream=stream)
    headers = {
        "content-type": OCTETS.type,
        "accept-ranges": "bytes",
        "content-length": str(size),
    }
    if row.checksum is not None:
        headers["content-md5"] = row.checksum
    start, length = _asked_range(call.header("range"), size)
    status = 200
    if length is not None:
        status = 206
        headers["content-length"] = str(length)
        headers["content-range"] = f"bytes {start}-{start + length - 1}/{size}"
        headers.pop("content-md5", None)
    wanted = size if length is None else length
    if cached is not None and cached.size_bytes == size and await state.cache.size_bytes(cached.id) == size:
        await call.runtime.db.write(cache_store.hit, cached.id)
        file = FileRange(await state.cache.open(cached.id), start, wanted)
        return Reply(status, headers=headers, file=file)
    if (folder := state.shelves.folder(locations[0])) is not None:
        return Reply(status, headers=headers, file=FileRange(await folder.open(row.id), start, wanted))
    if state.shelves.owned(locations[0]):
        found: AsyncIterator[bytes] = state.shelves.read(row.id, locations[0], start, wanted)
    else:
        found = _verified(state, row, locations[0], start, wanted)
    return Reply(status, headers=headers, stream=await _begun(found))


def _look(tx: Tx, image_id: str, viewer: str, node: str) -> tuple[Row[Any] | None, Row[Any] | None]:
    """What the viewer is to the image, and the node's copy of it."""
    return store.member(tx, image_id, viewer), cache_store.find(tx, node, image_id)


def _preferred(
    call: Call, state: ImageState, row: Row[Any], target: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """Where the data is, the best place first, or only where `prefer` says."""
    locations = state.shelves.ranked(row.locations)
    wanted = call.arg("prefer")
    if wanted is None:
        return locations
    call.enforce("download_from_store", target)
    names = [name.strip() for name in wanted.split(",")]
    for name in names:
        if name not in state.shelves.by_name:
            raise BadRequest(f"There is no store {name!r}; there are {', '.join(state.shelves.by_name)}.")
    found = [each for name in names for each in locations if each["store"] == name]
    if not found:
        raise NotFound(f"Image {row.id} is in none of the stores {wanted}.")
    return found


async def _begun(stream: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The stream, once it is known that there is something to read: an error can still be told."""
    first = await anext(stream, b"")

    async def whole() -> AsyncGenerator[bytes, None]:
        if first:
            yield first
        async for chunk in stream:
            yield chunk

    return whole()


async def _verified(
    state: ImageState, row: Row[Any], location: Mapping[str, Any], offset: int, length: int
) -> AsyncIterator[bytes]:
    """Bytes that are not in our keeping. The last ones are held back until all are known to be what they were."""
    if row.os_hash_value is None or offset or length != row.size_bytes:
        async for chunk in state.shelves.read(row.id, location, offset, length):
            yield chunk
        return
    digest = hashlib.new(row.os_hash_algo, usedforsecurity=False)
    held = b""
    async for chunk in state.shelves.read(row.id, location):
        digest.update(chunk)
        if held:
            yield held
        held = chunk
    if digest.hexdigest() != row.os_hash_value:
        raise StoreError(f"The data of image {row.id} at {location['url']} is not what it was.")
    yield held


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
