"""What is kept where.

A *fragment archive* has the fragments of one index, one of each segment, behind each other. It is an object of a member
device, with a key of its own for each write, so that what is overwritten stays until all of the new is there:

    first 10 bytes of the object's key · 5 random bytes of the write · index

The *record* is a replicated object under the object's own key. It makes the archives the object: until it is written nothing
of them is seen. Small bodies are in the record, and there are no archives.
"""

from __future__ import annotations

import os
import random

import msgspec

from pileus.drivers.object.erasure.code import Scheme
from pileus.services.object_store.driver import DeviceError, Version

KEY_BYTES, WRITE_BYTES = 10, 5


class Record(msgspec.Struct, array_like=True, frozen=True):
    """A record's metadata: MessagePack."""

    metadata: bytes
    """The object's own."""
    size_bytes: int
    write: bytes = b""
    """Of which its archives are; empty where the body is in the record."""
    scheme: Scheme | None = None


class Archive(msgspec.Struct, array_like=True, frozen=True):
    """An archive's metadata: MessagePack."""

    key: bytes
    """The object's."""
    index: int
    size_bytes: int
    """Of the object."""
    scheme: Scheme


encode = msgspec.msgpack.Encoder().encode
_record = msgspec.msgpack.Decoder(Record).decode
_archive = msgspec.msgpack.Decoder(Archive).decode


_chance = random.Random()
os.register_at_fork(after_in_child=_chance.seed)


def new_write() -> bytes:
    return _chance.randbytes(WRITE_BYTES)


def archive_key(key: bytes, write: bytes, index: int) -> bytes:
    return key[:KEY_BYTES] + write + bytes((index,))


def split_key(archive: bytes) -> tuple[bytes, int]:
    """What the archives of one write have in common, and the index."""
    return archive[:-1], archive[-1]


def shown(kept: Version) -> Version:
    """A record's version as the object's; `below` is the record."""
    if kept.deleted:
        return kept
    record = record_of(kept)
    body = kept.body if record.scheme is None else None
    return kept._replace(size_bytes=record.size_bytes, metadata=record.metadata, body=body, below=record)


def record_of(kept: Version) -> Record:
    try:
        return _record(kept.metadata)
    except msgspec.DecodeError as error:
        raise DeviceError(f"the record of {kept.path} can't be read: {error}") from error


def archive_of(kept: Version) -> Archive:
    try:
        return _archive(kept.metadata)
    except msgspec.DecodeError as error:
        raise DeviceError(f"a fragment archive of {kept.path} can't be read: {error}") from error
