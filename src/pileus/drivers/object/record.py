"""One version of one object as it stands in a volume. doc/decisions/0018-object-volumes.md has the picture."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Any, NamedTuple

from pileus.lib.crc32 import crc32
from pileus.lib.timestamp import Timestamp

MAGIC = b"PVR1"
ALIGN = 16
_HEADER = struct.Struct("<4sIBxHIIIQQQQQ16s")
HEADER_BYTES = _HEADER.size
_CHECKED_FROM = 8
"""Magic and checksum are not part of what the checksum covers."""


class Kind(IntEnum):
    WHOLE = 1
    """Metadata and body."""
    FILE = 2
    """Metadata; the body is a file of its own."""
    DELETED = 3
    DROPPED = 4
    """Here it is no longer kept: other devices have it."""
    BROKEN = 5
    """The bytes of this version were found broken."""


_KINDS = {each.value: each for each in Kind}


class Record(NamedTuple):
    kind: Kind
    key: bytes
    path: str
    timestamp: Timestamp
    changed: Timestamp
    size_bytes: int
    """Of the object, wherever its body is."""
    metadata: bytes
    body: bytes

    @property
    def order(self) -> tuple[Timestamp, Timestamp]:
        """The greater of two versions is the object."""
        return self.timestamp, self.changed


class Torn(Exception):
    """Here is no whole record."""


def padded(length: int) -> int:
    return -(-length // ALIGN) * ALIGN


def encode(record: Record, volume: int) -> list[bytes]:
    """Aligned bytes, in parts. `volume` goes into the checksum, so that a record is valid in its own volume only."""
    kind, key, name, timestamp, changed, size_bytes, metadata, body = record
    path = name.encode()
    header = _HEADER.pack(
        MAGIC, 0, kind, len(path), len(metadata), len(body), volume, *timestamp, *changed, size_bytes, key
    )
    before = b"".join((header[_CHECKED_FROM:], path, metadata))
    length = _CHECKED_FROM + len(before) + len(body)
    padding = bytes(padded(length) - length)
    checksum = crc32(padding, crc32(body, crc32(before)))
    return [MAGIC, checksum.to_bytes(4, "little"), before, body, padding]


class Header(NamedTuple):
    """The fixed part, which says how long the rest is."""

    checksum: int
    kind: int
    path_bytes: int
    metadata_bytes: int
    body_bytes: int
    volume: int
    timestamp: Timestamp
    changed: Timestamp
    size_bytes: int
    key: bytes

    @property
    def length(self) -> int:
        """Of the whole record with its padding."""
        return padded(HEADER_BYTES + self.path_bytes + self.metadata_bytes + self.body_bytes)

    @property
    def order(self) -> tuple[Timestamp, Timestamp]:
        return self.timestamp, self.changed


def _fields(data: bytes | memoryview, at: int) -> list[Any]:
    """Those of `_HEADER`, behind the magic. Raises Torn where there are none. Nothing is checked but the magic."""
    if len(data) - at < HEADER_BYTES:
        raise Torn
    magic, *fields = _HEADER.unpack_from(data, at)
    if magic != MAGIC:
        raise Torn
    return fields


def decode_header(data: bytes | memoryview, at: int = 0) -> Header:
    """Raises Torn where there is none. Nothing is checked but the magic."""
    checksum, kind, path, metadata, body, volume, units, offset, units_2, offset_2, size, key = _fields(
        data, at
    )
    return Header(
        checksum,
        kind,
        path,
        metadata,
        body,
        volume,
        Timestamp(units, offset),
        Timestamp(units_2, offset_2),
        size,
        key,
    )


def _check(data: bytes, at: int, length: int, checksum: int) -> None:
    """Raises Torn."""
    if len(data) - at < length:
        raise Torn
    if crc32(memoryview(data)[at + _CHECKED_FROM : at + length]) != checksum:
        raise Torn


def sound_header(data: bytes, volume: int, at: int = 0) -> Header:
    """Of the whole record at `at`. Raises Torn where bytes are missing or wrong."""
    header = decode_header(data, at)
    if header.volume != volume:
        raise Torn
    _check(data, at, header.length, header.checksum)
    return header


def decode(data: bytes, volume: int, at: int = 0) -> tuple[Record, int]:
    """The whole record at `at`, and its length. Raises Torn where bytes are missing or wrong."""
    # Without a Header: each read of a small object comes by here.
    checksum, kind, path, metadata, body, own, units, offset, units_2, offset_2, size, key = _fields(data, at)
    start = at + HEADER_BYTES
    middle = start + path
    end = middle + metadata
    length = padded(end + body - at)
    if own != volume:
        raise Torn
    _check(data, at, length, checksum)
    record = Record(
        _KINDS[kind],
        key,
        data[start:middle].decode(),
        Timestamp(units, offset),
        Timestamp(units_2, offset_2),
        size,
        data[middle:end],
        data[end : end + body],
    )
    return record, length
