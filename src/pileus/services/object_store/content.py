"""What a GET of an object gives: its own bytes, or those of the segments that it lists."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import NamedTuple

from pileus.kernel.errors import Conflict
from pileus.kernel.http.reply import FileRange, OpenFile, Reply
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import metadata
from pileus.services.object_store.driver import Version
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name
from pileus.services.object_store.state import ObjectStoreState


class Content(NamedTuple):
    kept: ObjectMetadata
    changed: Timestamp
    size_bytes: int
    etag: str
    read: Callable[[int, int], AsyncIterator[bytes]]
    """From an offset so many bytes."""
    is_large: bool = False
    """Whether it is put together of segments; its etag is then quoted."""
    whole: bytes | None = None
    """All of it, where it is small and at hand."""
    file: Callable[[], OpenFile | None] | None = None
    """Opens the file that has the same bytes, where there is one."""
    content_type: str | None = None
    """Where it is not the object's own."""
    name: Name | None = None
    """Where it was found, if a symlink led there."""
    version_id: str | None = None
    """Where the container keeps versions."""
    manifest: Callable[[], Awaitable[bytes]] | None = None
    """Of a static large object: what lists its segments."""


def plain(state: ObjectStoreState, name: Name, version: Version) -> Content:
    """The bytes that are stored, whatever they mean."""
    kept = metadata.decode(version.metadata)
    return Content(
        kept,
        version.changed,
        version.size_bytes,
        kept.etag,
        lambda offset, length: state.read(name, version, offset, length),
        whole=version.body,
        file=None if version.body is not None else lambda: state.opened(name, version),
    )


def reply(found: Content, status: int, headers: dict[str, str], offset: int, length: int) -> Reply:
    """So many bytes of it. Raises DeviceError."""
    headers["content-length"] = str(length)
    if found.whole is not None:
        return Reply(status, found.whole[offset : offset + length], headers)
    if length == 0:
        return Reply(status, headers=headers)
    if found.file is not None and (file := found.file()) is not None:
        return Reply(status, headers=headers, file=FileRange(file, offset, length))
    return Reply(status, headers=headers, stream=_stream(found, offset, length))


async def _stream(found: Content, offset: int, length: int) -> AsyncGenerator[bytes, None]:
    async for chunk in found.read(offset, length):
        yield chunk


def require_readable(found: Content) -> None:
    """409 for bytes that are encrypted with a key that only its owner has: S3's API takes it."""
    if metadata.CUSTOMER_KEY in found.kept.system:
        raise Conflict("The object is encrypted with a customer's key: read it through S3, with the key.")
