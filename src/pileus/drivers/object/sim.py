"""A disk in memory, which knows what would be left of it after a power cut."""

from __future__ import annotations

import errno
import random
import threading
from collections.abc import Callable
from os.path import dirname
from typing import Any

SECTOR = 512
"""What a disk writes whole or not at all."""
TOTAL_BYTES = 2**40

Step = tuple[str, Any, Any, Any]


class _Inode:
    """Contents as all see them; `durable` is what the disk has."""

    __slots__ = ("data", "durable", "pending")

    def __init__(self, durable: bytes = b"") -> None:
        self.data = bytearray(durable)
        self.durable = bytearray(durable)
        self.pending: list[tuple[int, bytes]] = []

    def write(self, data: bytes, offset: int) -> None:
        _patch(self.data, data, offset)
        self.pending.append((offset, data))

    def sync(self) -> None:
        for offset, data in self.pending:
            _patch(self.durable, data, offset)
        self.pending.clear()


def _patch(target: bytearray, data: bytes, offset: int) -> None:
    if len(target) < offset:
        target.extend(bytes(offset - len(target)))
    target[offset : offset + len(data)] = data


class MemoryFile:
    def __init__(self, disk: MemoryFiles, inode: _Inode) -> None:
        self._disk = disk
        self._inode = inode

    def read(self, length: int, offset: int) -> bytes:
        return bytes(self._inode.data[offset : offset + length])

    def read_cached(self, length: int, offset: int) -> bytes | None:
        data = self.read(length, offset)
        return data if len(data) == length else None

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        with self._disk.lock:
            self._disk.fault("write")
            self._inode.write(bytes(data), offset)
            self._disk.record("write", self._inode, offset, bytes(data))

    def sync(self) -> None:
        with self._disk.lock:
            self._disk.fault("sync")
            self._inode.sync()
            self._disk.record("sync", self._inode)

    def size(self) -> int:
        return len(self._inode.data)

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        """Nothing is held."""


class MemoryFiles:
    """`Files` in memory. With `recording` every change is logged, and `after` tells what a power cut leaves."""

    def __init__(self, *, recording: bool = False) -> None:
        self.lock = threading.RLock()
        self.recording = recording
        self.log: list[Step] = []
        self.names: dict[str, _Inode] = {}
        self.fault: Callable[[str], None] = _no_fault
        """Called before each `write` and `sync`; may raise OSError."""

    def record(self, kind: str, one: Any = None, other: Any = None, more: Any = None) -> None:
        if self.recording:
            self.log.append((kind, one, other, more))

    def mark(self, what: Any) -> None:
        """Notes in the log that something was promised to somebody."""
        with self.lock:
            self.record("mark", what)

    def make_folder(self, path: str) -> None:
        """Folders need not be made here."""

    def create(self, path: str) -> MemoryFile:
        with self.lock:
            self.fault("create")
            if path in self.names:
                raise FileExistsError(errno.EEXIST, "it exists", path)
            inode = self.names[path] = _Inode()
            self.record("name", path, inode)
            return MemoryFile(self, inode)

    def open(self, path: str) -> MemoryFile:
        with self.lock:
            if path not in self.names:
                raise FileNotFoundError(errno.ENOENT, "it is not there", path)
            return MemoryFile(self, self.names[path])

    def link(self, old: str, new: str) -> None:
        with self.lock:
            if new in self.names:
                raise FileExistsError(errno.EEXIST, "it exists", new)
            if old not in self.names:
                raise FileNotFoundError(errno.ENOENT, "it is not there", old)
            self.names[new] = self.names[old]
            self.record("name", new, self.names[old])

    def unlink(self, path: str) -> None:
        with self.lock:
            if self.names.pop(path, None) is not None:
                self.record("name", path, None)

    def names_in(self, folder: str) -> list[str]:
        with self.lock:
            prefix = folder + "/"
            return [name[len(prefix) :] for name in self.names if dirname(name) == folder]

    def sync_folder(self, folder: str) -> None:
        with self.lock:
            self.fault("sync")
            self.record("sync folder", folder)

    def space(self) -> tuple[int, int]:
        with self.lock:
            used = sum(len(inode.data) for inode in {id(each): each for each in self.names.values()}.values())
            return TOTAL_BYTES, TOTAL_BYTES - used

    def after(self, steps: int, chance: random.Random) -> tuple[MemoryFiles, list[Any]]:
        """The disk as it may be where power fails after so many steps, and what had been marked by then.

        What was not synced may be there or not, each sector and each name by itself.
        """
        inodes: dict[int, _Inode] = {}
        names: dict[str, _Inode | None] = {}
        unsynced: dict[str, list[tuple[str, _Inode | None]]] = {}
        marks = []
        for kind, one, other, more in self.log[:steps]:
            if kind == "write":
                inodes.setdefault(id(one), _Inode()).write(more, other)
            elif kind == "sync":
                inodes.setdefault(id(one), _Inode()).sync()
            elif kind == "name":
                inode = None if other is None else inodes.setdefault(id(other), _Inode())
                unsynced.setdefault(dirname(one), []).append((one, inode))
            elif kind == "sync folder":
                names.update(unsynced.pop(one, []))
            else:
                marks.append(one)
        for pending in unsynced.values():
            # A journal keeps the order of names in one folder: a prefix of the changes survives.
            names.update(pending[: chance.randint(0, len(pending))])
        disk = MemoryFiles()
        kept: dict[int, _Inode] = {}
        for name, inode in names.items():
            if inode is not None:
                if id(inode) not in kept:
                    kept[id(inode)] = _Inode(_torn(inode, chance))
                disk.names[name] = kept[id(inode)]
        return disk, marks


def _torn(inode: _Inode, chance: random.Random) -> bytes:
    data = bytearray(inode.durable)
    luck = chance.choice((0.0, 0.5, 1.0))
    for offset, written in inode.pending:
        at = 0
        while at < len(written):
            step = SECTOR - (offset + at) % SECTOR
            if chance.random() < luck:
                _patch(data, written[at : at + step], offset + at)
            at += step
    return bytes(data)


def _no_fault(what: str) -> None:
    """All is well."""
