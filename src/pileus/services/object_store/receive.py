"""Taking an object's bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import md5

import msgspec

from pileus.kernel.api.body_stream import ClientGone
from pileus.kernel.api.call import Call
from pileus.kernel.errors import ApiError, BadRequest, TooLarge, Unavailable
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import metadata
from pileus.services.object_store.blocks import in_blocks
from pileus.services.object_store.driver import DeviceError, DeviceFull, ObjectWriter, whole_or_nothing
from pileus.services.object_store.hashing import Hashing, feed
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name
from pileus.services.object_store.state import ObjectStoreState

SMALL_BYTES = 256 * 1024
GIB = 2**30


class LengthRequired(ApiError):
    status, kind = 411, "LengthRequired"


class Unprocessable(ApiError):
    status, kind = 422, "UnprocessableEntity"


class InsufficientStorage(ApiError):
    status, kind = 507, "InsufficientStorage"


def announced(call: Call, state: ObjectStoreState) -> int | None:
    """Bytes to come; None where they come in chunks. 411 where the client says neither, 413 where it is too much."""
    length = call.header("content-length")
    if length is None:
        if "chunked" not in (call.header("transfer-encoding") or "").lower():
            raise LengthRequired("Content-Length header required, or chunked transfer encoding.")
        return None
    if not (length.isascii() and length.isdigit()):
        raise BadRequest(f"Content-Length {length!r} is not a number.")
    if int(length) > state.settings.max_file_size_gib * GIB:
        raise TooLarge("Your request is too large.")
    return int(length)


async def receive(
    state: ObjectStoreState,
    name: Name,
    timestamp: Timestamp,
    kept: ObjectMetadata,
    body: AsyncIterator[bytes],
    length: int | None,
    wanted: str = "",
) -> ObjectMetadata:
    """Stores a body as the object; returns its metadata, with the etag. All of it or nothing is seen.

    `length` is what was announced, `wanted` the MD5 that it must have. Raises Superseded where there is a newer version.
    """
    try:
        if length is not None and length <= SMALL_BYTES:
            return await _small(state, name, timestamp, kept, body, length, wanted)
        device = await state.device_of(name)
        async with whole_or_nothing(device.writer(state.key(name), name.path)) as writer:
            return await _large(state, writer, timestamp, kept, body, length, wanted)
    except DeviceFull as error:
        raise InsufficientStorage("There is no room for more on the disk.") from error
    except DeviceError as error:
        raise Unavailable(str(error)) from error


async def _small(
    state: ObjectStoreState,
    name: Name,
    timestamp: Timestamp,
    kept: ObjectMetadata,
    body: AsyncIterator[bytes],
    length: int,
    wanted: str,
) -> ObjectMetadata:
    chunks, size = [], 0
    async for chunk in body:
        size += len(chunk)
        if size > length:
            raise BadRequest("More came than was announced.")
        chunks.append(chunk)
    if size != length:
        raise ClientGone
    whole = b"".join(chunks)
    digest = md5(usedforsecurity=False)
    feed(digest, whole)
    stored = _with_etag(kept, digest.hexdigest(), wanted)
    device = await state.device_of(name)
    await device.put(state.key(name), name.path, timestamp, metadata.encode(stored), whole)
    return stored


async def _large(
    state: ObjectStoreState,
    writer: ObjectWriter,
    timestamp: Timestamp,
    kept: ObjectMetadata,
    body: AsyncIterator[bytes],
    length: int | None,
    wanted: str,
) -> ObjectMetadata:
    limit = state.settings.max_file_size_gib * GIB
    size = 0
    with Hashing() as hashing:
        async for block in in_blocks(body):
            size += len(block)
            if size > limit:
                raise TooLarge("Your request is too large.")
            await hashing.update(block)
            await writer.write(block)
        if length is not None and size != length:
            raise ClientGone
        etag = await hashing.hexdigest()
    stored = _with_etag(kept, etag, wanted)
    await writer.finish(timestamp, metadata.encode(stored))
    return stored


def _with_etag(kept: ObjectMetadata, etag: str, wanted: str) -> ObjectMetadata:
    if wanted and wanted != etag:
        raise Unprocessable(f"The bytes that came have the MD5 {etag}, not {wanted}.")
    return msgspec.structs.replace(kept, etag=etag)
