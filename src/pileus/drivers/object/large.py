"""Large objects: a file each, complete in itself. The volumes' record is what makes it the object.

body, metadata, name, footer: lengths of the three, CRC-32 of the body, of metadata and name, magic
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import struct
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from pileus.drivers.object.files import File, Files
from pileus.drivers.object.record import Kind, Record
from pileus.lib.crc32 import crc32
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, DeviceFull, Superseded, Version

if TYPE_CHECKING:
    from pileus.drivers.object.engine import ObjectEngine

LARGE, ARRIVING = "large", "arriving"
WRITE_BYTES = 1024 * 1024
AHEAD_BYTES = 2 * 1024 * 1024
"""So much may wait while the disk is busy: it is never to wait for the loop."""
READ_BYTES = 2 * 1024 * 1024
SYNC_BYTES = 32 * 1024 * 1024
"""After so many the disk begins to write, so that the last sync is short."""
_FOOTER = struct.Struct("<QIIII4s")
_MAGIC = b"PLO2"


def file_of(key: bytes, timestamp: Timestamp) -> str:
    return f"{LARGE}/{key[0]:02x}/{key.hex()}.{timestamp.internal}"


class LargeWriter:
    """An `ObjectWriter`. Up to `small_bytes` stay in memory, and then in a volume."""

    def __init__(self, engine: ObjectEngine, files: Files, key: bytes, path: str, small_bytes: int) -> None:
        self._engine, self._files, self._key, self._path = engine, files, key, path
        self._small_bytes = small_bytes
        self._gathered: list[bytes | memoryview] = []
        self._gathered_bytes = 0
        self._size = 0
        self._unsynced = 0
        self._checksum = 0
        self._temporary = f"{ARRIVING}/{secrets.token_hex(16)}"
        self._file: File | None = None
        self._writing: asyncio.Future[None] | None = None

    async def write(self, chunk: bytes | memoryview) -> None:
        self._gathered.append(chunk)
        self._gathered_bytes += len(chunk)
        if self._writing is None:
            if self._gathered_bytes >= WRITE_BYTES:
                self._hand_over()
        elif self._gathered_bytes >= AHEAD_BYTES or self._writing.done():  # it has failed, then
            await self._waited()

    def _hand_over(self) -> None:
        """Gives what is gathered to a thread, and once that is written what has gathered meanwhile."""
        parts, length = self._gathered, self._gathered_bytes
        self._gathered, self._gathered_bytes = [], 0
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._write, parts, self._size))
        self._writing.add_done_callback(self._wrote)
        self._size += length

    def _wrote(self, writing: asyncio.Future[None]) -> None:
        if writing is self._writing and not writing.cancelled() and writing.exception() is None:
            self._writing = None
            if self._gathered_bytes >= WRITE_BYTES:
                self._hand_over()

    async def _waited(self) -> None:
        """For what was handed over last. Raises DeviceError."""
        writing = self._writing
        assert writing is not None
        # Also where it is done: who awaits that gets no turn of the loop, in which `_wrote` would learn of it.
        await asyncio.wait([writing])
        try:
            writing.result()
        except OSError as error:
            raise _failure(error) from error

    async def _written(self) -> None:
        """Nothing is under way."""
        while self._writing is not None:
            await self._waited()

    def _write(self, parts: list[bytes | memoryview], offset: int) -> None:
        if self._file is None:
            self._file = self._files.create(self._temporary)
        for part in parts:
            self._file.write(part, offset)
            offset += len(part)
            self._checksum = crc32(part, self._checksum)
            self._unsynced += len(part)
        if self._unsynced >= SYNC_BYTES:
            self._file.sync()
            self._unsynced = 0

    async def finish(self, timestamp: Timestamp, metadata: bytes, changed: Timestamp | None = None) -> None:
        changed = changed or timestamp
        if self._writing is None and self._file is None and self._gathered_bytes <= self._small_bytes:
            body = b"".join(self._gathered)
            version = Version(self._path, timestamp, changed, len(body), metadata, False, body)
            await asyncio.shield(self._engine.store(self._key, version))
            return
        await self._written()
        if self._gathered:
            self._hand_over()
            await self._written()
        file = file_of(self._key, timestamp)
        if not await self._engine.expect_file(self._key, timestamp):
            await self.abort()
            raise Superseded(timestamp, deleted=False)
        try:
            try:
                await asyncio.to_thread(self._publish, file, metadata)
            except OSError as error:
                raise _failure(error) from error
            record = Record(Kind.FILE, self._key, self._path, timestamp, changed, self._size, metadata, b"")
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
        footer = _FOOTER.pack(
            self._size, len(metadata), len(path), self._checksum, crc32(metadata + path), _MAGIC
        )
        self._file.write(metadata + path + footer, self._size)
        self._file.sync()
        folder = name.rpartition("/")[0]
        self._files.make_folder(folder)
        self._files.unlink(name)  # of an earlier try that no record names
        self._files.link(self._temporary, name)
        self._files.sync_folder(folder)

    async def abort(self) -> None:
        self._gathered, self._gathered_bytes = [], 0
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
            self._writing = None
        if self._file is not None:
            self._file.close()
            self._file = None
            await asyncio.to_thread(self._files.unlink, self._temporary)


def check_file(file: File, size_bytes: int) -> bool:
    """Whether all bytes of a large object are what was written. Blocks; closes the file. Raises OSError."""
    try:
        end = file.size()
        footer = file.read(_FOOTER.size, end - _FOOTER.size) if end >= _FOOTER.size else b""
        if len(footer) < _FOOTER.size:
            return False
        body_bytes, metadata_bytes, path_bytes, checksum, rest_checksum, magic = _FOOTER.unpack(footer)
        rest_bytes = metadata_bytes + path_bytes
        if magic != _MAGIC or body_bytes != size_bytes or end != body_bytes + rest_bytes + _FOOTER.size:
            return False
        found = 0
        for offset in range(0, body_bytes, WRITE_BYTES):
            found = crc32(file.read(min(WRITE_BYTES, body_bytes - offset), offset), found)
        rest = crc32(file.read(rest_bytes, body_bytes))
        return bool(found == checksum and rest == rest_checksum)
    finally:
        file.close()


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
