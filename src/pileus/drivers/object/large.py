"""Large objects: a file each, complete in itself. The volumes' record is what makes it the object.

body, metadata, footer: magic, lengths of both, CRC of metadata and name, the name
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import struct
import zlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from pileus.drivers.object.files import File, Files
from pileus.drivers.object.record import Kind, Record
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, DeviceFull, Superseded

if TYPE_CHECKING:
    from pileus.drivers.object.engine import ObjectEngine

LARGE, ARRIVING = "large", "arriving"
WRITE_BYTES = 1024 * 1024
READ_BYTES = 2 * 1024 * 1024
SYNC_BYTES = 32 * 1024 * 1024
"""After so many the disk begins to write, so that the last sync is short."""
_FOOTER = struct.Struct("<QIII4s")
_MAGIC = b"PLO1"


def file_of(key: bytes, timestamp: Timestamp) -> str:
    return f"{LARGE}/{key[0]:02x}/{key.hex()}.{timestamp.internal}"


class LargeWriter:
    """An `ObjectWriter`. Up to `small_bytes` stay in memory, and then in a volume."""

    def __init__(self, engine: ObjectEngine, files: Files, key: bytes, path: str, small_bytes: int) -> None:
        self._engine, self._files, self._key, self._path = engine, files, key, path
        self._small_bytes = small_bytes
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._size = 0
        self._unsynced = 0
        self._temporary = f"{ARRIVING}/{secrets.token_hex(16)}"
        self._file: File | None = None
        self._writing: asyncio.Future[None] | None = None

    async def write(self, chunk: bytes) -> None:
        self._gathered.append(chunk)
        self._gathered_bytes += len(chunk)
        if self._gathered_bytes >= WRITE_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        """Hands what is gathered to a thread, when it is done with what it had before."""
        await self._written()
        parts, length = self._gathered, self._gathered_bytes
        self._gathered, self._gathered_bytes = [], 0
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._write, parts, self._size))
        self._size += length

    async def _written(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            try:
                await writing
            except OSError as error:
                raise _failure(error) from error

    def _write(self, parts: list[bytes], offset: int) -> None:
        if self._file is None:
            self._file = self._files.create(self._temporary)
        for part in parts:
            self._file.write(part, offset)
            offset += len(part)
            self._unsynced += len(part)
        if self._unsynced >= SYNC_BYTES:
            self._file.sync()
            self._unsynced = 0

    async def finish(self, timestamp: Timestamp, metadata: bytes) -> None:
        if self._writing is None and self._file is None and self._gathered_bytes <= self._small_bytes:
            await self._engine.put(self._key, self._path, timestamp, metadata, b"".join(self._gathered))
            return
        if self._gathered:
            await self._flush()
        await self._written()
        file = file_of(self._key, timestamp)
        self._engine.expect_file(file)
        try:
            try:
                await asyncio.to_thread(self._publish, file, metadata)
            except FileExistsError:
                raise Superseded(timestamp, deleted=False) from None
            except OSError as error:
                raise _failure(error) from error
            record = Record(Kind.FILE, self._key, self._path, timestamp, timestamp, self._size, metadata, b"")
            try:
                await self._engine.put_file(record, file)
            except Superseded:
                await asyncio.to_thread(self._files.unlink, file)
                raise
        finally:
            self._engine.forget_file(file)
            await self.abort()

    def _publish(self, name: str, metadata: bytes) -> None:
        """The file has all that the object is, durably, under its own name."""
        assert self._file is not None
        path = self._path.encode()
        footer = _FOOTER.pack(self._size, len(metadata), len(path), zlib.crc32(metadata + path), _MAGIC)
        self._file.write(metadata + path + footer, self._size)
        self._file.sync()
        folder = name.rpartition("/")[0]
        self._files.make_folder(folder)
        self._files.link(self._temporary, name)
        self._files.sync_folder(folder)

    async def abort(self) -> None:
        self._gathered.clear()
        if self._writing is not None:
            await asyncio.wait((self._writing,))
            self._writing = None
        if self._file is not None:
            self._file.close()
            self._file = None
            await asyncio.to_thread(self._files.unlink, self._temporary)


async def read_file(file: File, offset: int, length: int) -> AsyncIterator[bytes]:
    """Chunks; raises DeviceError where the file is shorter than it was. Closes the file."""
    try:
        end = offset + length
        while offset < end:
            wanted = min(READ_BYTES, end - offset)
            chunk = file.read_cached(wanted, offset)
            if chunk is None:
                chunk = await asyncio.to_thread(file.read, wanted, offset)
            if len(chunk) < wanted:
                raise DeviceError("the data of a large object is cut short")
            offset += len(chunk)
            yield chunk
    except OSError as error:
        raise DeviceError(f"the disk can't be read: {error}") from error
    finally:
        file.close()


def _failure(error: OSError) -> DeviceError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DeviceFull("the disk is full")
    return DeviceError(f"the disk can't be written: {error}")
