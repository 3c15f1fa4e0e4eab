"""Reading many objects as one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple

from pileus.services.object_store.content import Content
from pileus.services.object_store.driver import DeviceError
from pileus.services.object_store.name import Name

MAX_DEPTH = 10
"""Manifests in manifests, the first of them counted."""


class Segment(NamedTuple):
    name: Name
    etag: str
    """Which it must have; empty for any."""
    offset: int
    """Where in the segment its part begins."""
    length: int
    data: bytes | None = None
    """The bytes themselves, where they stand in the manifest."""


class BrokenSegment(DeviceError):
    pass


Open = Callable[[Name], Awaitable[Content | None]]


async def read(segments: Sequence[Segment], open_: Open, offset: int, length: int) -> AsyncIterator[bytes]:
    """Raises BrokenSegment where a segment is gone or not what it was: the answer breaks off there."""
    for segment in segments:
        if offset >= segment.length:
            offset -= segment.length
            continue
        if length <= 0:
            return
        part = min(length, segment.length - offset)
        if segment.data is not None:
            yield segment.data[offset : offset + part]
            length, offset = length - part, 0
            continue
        content = await open_(segment.name)
        if content is None or (segment.etag and content.etag != segment.etag):
            raise BrokenSegment(f"segment {segment.name.path} is gone, or another than it was")
        async for chunk in content.read(segment.offset + offset, part):
            yield chunk
        length -= part
        offset = 0
