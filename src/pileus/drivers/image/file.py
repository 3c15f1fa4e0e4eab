"""Images as files in a folder: `ID`, and `ID.ATTEMPT.part` while they come in."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

from pileus.services.image.driver import StoreError, StoreFull

READ_BYTES = 2 * 1024 * 1024
FLUSH_BYTES = 32 * 1024 * 1024
"""After so many bytes the kernel is told to begin writing them out, so that the last fsync is short."""
PART = ".part"


class FileWriter:
    def __init__(self, folder: Path, object_id: str, attempt: str, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._part = folder / f"{object_id}.{attempt}{PART}"
        self._whole = folder / object_id
        self._fd = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        self._written = self._flushed = 0
        self._pending: asyncio.Future[None] | None = None

    async def write(self, chunk: bytes) -> None:
        if self._pending is not None:
            await self._pending
        self._pending = asyncio.get_running_loop().run_in_executor(self._threads, self._write_now, chunk)

    def _write_now(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(f"There is no room left in {self._whole.parent} for the image.") from error
            raise StoreError(f"The image can't be written: {error.strerror}.") from error
        self._written += len(chunk)
        if self._written - self._flushed >= FLUSH_BYTES:
            os.posix_fadvise(self._fd, self._flushed, self._written - self._flushed, os.POSIX_FADV_DONTNEED)
            self._flushed = self._written

    async def finish(self) -> None:
        if self._pending is not None:
            await self._pending
        await asyncio.get_running_loop().run_in_executor(self._threads, self._finish_now)

    def _finish_now(self) -> None:
        os.fsync(self._fd)
        os.close(self._fd)
        try:
            self._part.rename(self._whole)
        except FileNotFoundError as error:
            raise StoreError("The image was removed while it was being written.") from error
        _sync_folder(self._whole.parent)

    async def abort(self) -> None:
        if self._pending is not None:
            await asyncio.gather(self._pending, return_exceptions=True)
        os.close(self._fd)
        self._part.unlink(missing_ok=True)


class FileStore:
    """A folder on a local or shared filesystem."""

    kind = "file"
    read_only = False

    def __init__(self, folder: Path, name: str = "file") -> None:
        self.name = name
        self._folder = folder
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="image-file")

    @property
    def properties(self) -> Mapping[str, Any]:
        return {"data_dir": str(self._folder)}

    def url(self, object_id: str) -> str:
        return self.path(object_id).absolute().as_uri()

    def path(self, object_id: str) -> Path:
        return self._folder / object_id

    async def start(self) -> None:
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)

    async def close(self) -> None:
        self._threads.shutdown(wait=False)

    async def writer(self, object_id: str, attempt: str) -> FileWriter:
        return FileWriter(self._folder, object_id, attempt, self._threads)

    async def read(self, object_id: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        with await self.open(object_id) as file:
            fd = file.fileno()
            end = os.fstat(fd).st_size if length is None else offset + length
            while offset < end:
                chunk = await loop.run_in_executor(
                    self._threads, os.pread, fd, min(READ_BYTES, end - offset), offset
                )
                if not chunk:
                    raise StoreError(f"The data of image {object_id} ends too early.")
                offset += len(chunk)
                yield chunk

    async def open(self, object_id: str) -> BinaryIO:
        path, loop = self.path(object_id), asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, lambda: path.open("rb"))
        except FileNotFoundError as error:
            raise StoreError(f"Store {self.name} has no data of image {object_id}.") from error

    async def size_bytes(self, object_id: str) -> int | None:
        try:
            return (self._folder / object_id).stat().st_size
        except FileNotFoundError:
            return None

    async def remove(self, object_id: str) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads, self._remove_now, object_id)

    def _remove_now(self, object_id: str) -> None:
        # Parts first: one that becomes whole meanwhile is then found under its name.
        for part in self._folder.glob(f"{object_id}.*{PART}"):
            part.unlink(missing_ok=True)
        (self._folder / object_id).unlink(missing_ok=True)
        _sync_folder(self._folder)

    async def list_objects(self) -> list[str]:
        return [path.name for path in self._folder.iterdir() if path.suffix != PART]


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
