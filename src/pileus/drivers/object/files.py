"""The few system calls that the engine makes, so that tests can stand under it and cut the power."""

from __future__ import annotations

import errno
import os
from mmap import PAGESIZE as PAGE
from mmap import mmap
from pathlib import Path
from typing import Protocol

_NOWAIT = getattr(os, "RWF_NOWAIT", None)


class File(Protocol):
    """An open file. Reads stop short at its end only."""

    def read(self, length: int, offset: int) -> bytes: ...

    def read_cached(self, length: int, offset: int) -> bytes | None:
        """Without waiting for the disk; None where that can't be had."""

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        """All of it. Raises OSError."""

    def sync(self) -> None:
        """What was written is durable when this returns (fdatasync)."""

    def size(self) -> int: ...

    def fileno(self) -> int:
        """Its descriptor; -1 where it has none."""

    def close(self) -> None: ...


class Files(Protocol):
    """Paths are relative to the device's folder. Whatever fails raises OSError."""

    def make_folder(self, path: str) -> None:
        """With its parents, durably; no error where it is there."""

    def create(self, path: str) -> File:
        """A new file; FileExistsError where there is one. Its name is durable after `sync_folder`."""

    def open(self, path: str) -> File: ...

    def link(self, old: str, new: str) -> None:
        """A second name; FileExistsError where it is taken."""

    def unlink(self, path: str) -> None:
        """No error where it is not there."""

    def names_in(self, folder: str) -> list[str]:
        """Names in it; none where there is no such folder."""

    def sync_folder(self, folder: str) -> None:
        """Names made and unmade in it are durable when this returns."""

    def space(self) -> tuple[int, int]:
        """Bytes in all, and bytes free."""


class HostFile:
    __slots__ = ("_direct", "_fd")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._direct: int | None = None
        """The same file beside the page cache; -1 where its file system can't."""

    def read(self, length: int, offset: int) -> bytes:
        data = os.pread(self._fd, length, offset)
        if len(data) == length:
            return data
        parts = [data]
        while parts[-1] and (length := length - len(parts[-1])):
            offset += len(parts[-1])
            parts.append(os.pread(self._fd, length, offset))
        return b"".join(parts)

    def read_cached(self, length: int, offset: int) -> bytes | None:
        if _NOWAIT is None:
            return None
        buffer = bytearray(length)
        try:
            got = os.preadv(self._fd, (buffer,), offset, _NOWAIT)
        except OSError:  # not cached, or a file system that can't tell
            return None
        return bytes(buffer) if got == length else None

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        view = memoryview(data)
        written = self._write_direct(view, offset)
        while view := view[written:]:
            offset += written
            written = os.pwrite(self._fd, view, offset)

    def _write_direct(self, view: memoryview, offset: int) -> int:
        """Beside the page cache, where it can be: to copy there costs ten times what the disk takes to fetch a block.

        Returns how much that was.
        """
        if not isinstance(view.obj, mmap) or (len(view) | offset) % PAGE:
            return 0
        if self._direct is None:
            try:
                self._direct = os.open(f"/proc/self/fd/{self._fd}", os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
            except OSError:
                self._direct = -1
        if self._direct < 0:
            return 0
        try:
            return os.pwrite(self._direct, view, offset)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return 0  # a part of a block, perhaps, that begins within a page

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._direct is not None and self._direct >= 0:
            os.close(self._direct)
            self._direct = None

    def __del__(self) -> None:
        self.close()


class HostFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make_folder(self, path: str) -> None:
        folder = self._folder / path
        if folder.is_dir():
            return
        if path not in ("", "."):
            self.make_folder(os.path.dirname(path))
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._sync(folder.parent)

    def create(self, path: str) -> HostFile:
        return HostFile(
            os.open(self._folder / path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        )

    def open(self, path: str) -> HostFile:
        return HostFile(os.open(self._folder / path, os.O_RDWR | os.O_CLOEXEC))

    def link(self, old: str, new: str) -> None:
        os.link(self._folder / old, self._folder / new)

    def unlink(self, path: str) -> None:
        (self._folder / path).unlink(missing_ok=True)

    def names_in(self, folder: str) -> list[str]:
        try:
            return os.listdir(self._folder / folder)
        except FileNotFoundError:
            return []

    def sync_folder(self, folder: str) -> None:
        self._sync(self._folder / folder)

    def space(self) -> tuple[int, int]:
        found = os.statvfs(self._folder)
        return found.f_frsize * found.f_blocks, found.f_frsize * found.f_bavail

    def _sync(self, folder: Path) -> None:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
