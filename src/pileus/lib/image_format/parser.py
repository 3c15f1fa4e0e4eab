"""How a format's parser asks for bytes of a stream that it cannot hold.

A parser is a generator: it yields the part it wants to see, is sent its bytes, and returns what it found.
Parts are asked for from front to back; one that lies before the end of an earlier one comes back empty.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator
from typing import Any, Final, TypeAlias

import msgspec

MAX_PART: Final = 1 << 20
"""Bytes of the largest part that a parser may ask for: the bound on what it keeps in memory."""
TAIL: Final = 1536
"""How many of the last bytes of the stream can be asked for."""


class Part(msgspec.Struct, frozen=True):
    """`length` bytes from `offset`; fewer are sent when the stream ends before."""

    offset: int
    length: int


class Tail(msgspec.Struct, frozen=True):
    """The last `length` bytes of the stream, at most TAIL; sent when it has ended."""

    length: int


class Found(msgspec.Struct, kw_only=True):
    """What a parser found in a stream that it recognises."""

    virtual_size: int | None = None
    """Bytes of the disk inside; None where that is the stream's own length, or unknown for an archive."""
    variant: str | None = None
    payload_offset: int = 0
    """Where the disk begins, when its size is the stream's length from there."""
    encrypted: bool = False
    unsafe: list[str] = []


class Truncated(Exception):
    """The stream ended inside what its format says must be there."""


Parser: TypeAlias = Generator[Part | Tail, bytes, Found | None]
ParserFactory: TypeAlias = Callable[[], Parser]


def unpack(layout: str, data: bytes, offset: int = 0) -> tuple[Any, ...]:
    """`struct.unpack_from` that raises Truncated when the data is too short."""
    try:
        return struct.unpack_from(layout, data, offset)
    except struct.error:
        raise Truncated from None
