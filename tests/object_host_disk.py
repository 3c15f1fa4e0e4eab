"""A device of the simulated ring on files of this host: real system calls, and what can go wrong with them."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.files import File, HostFiles
from tests.object_cluster_world import VOLUME_BYTES, Disk


def nothing(what: str) -> None:
    """No fault."""


class FaultyFiles(HostFiles):
    """`fault` is called before each change, and may raise OSError."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.fault: Callable[[str], None] = nothing

    def make_folder(self, path: str) -> None:
        self.fault("folder")
        super().make_folder(path)

    def create(self, path: str) -> File:  # type: ignore[override]  # what is between is a file, too
        self.fault("create")
        return _FaultyFile(self, super().create(path))

    def open(self, path: str) -> File:  # type: ignore[override]
        return _FaultyFile(self, super().open(path))

    def link(self, old: str, new: str) -> None:
        self.fault("link")
        super().link(old, new)

    def unlink(self, path: str) -> None:
        self.fault("unlink")
        super().unlink(path)


class _FaultyFile:
    def __init__(self, files: FaultyFiles, file: File) -> None:
        self._files = files
        self._file = file
        self.read, self.read_cached = file.read, file.read_cached
        self.size, self.close, self.fileno = file.size, file.close, file.fileno

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        try:
            self._files.fault("write")
        except OSError:
            self._file.write(bytes(data)[: len(data) // 2], offset)  # as much as came through
            raise
        self._file.write(data, offset)

    def sync(self) -> None:
        self._files.fault("sync")
        self._file.sync()


class HostDisk(Disk):
    """`folder` outlives the engines that serve it, one after the other."""

    files: FaultyFiles  # type: ignore[assignment]  # in the place of memory

    def __init__(self, number: int, chance: random.Random, folder: Path) -> None:
        self.folder = folder / f"d{number}"
        super().__init__(number, chance)

    def _new(self) -> ObjectEngine:
        self.files = FaultyFiles(self.folder)
        return ObjectEngine(self.files, volume_bytes=VOLUME_BYTES, suffix_power=12)

    async def kill(self) -> None:
        """The process is gone: no system call of it gets through any more, and no answer."""

        def dead(what: str) -> None:
            raise OSError(errno.EIO, "the process is gone")

        old, self.down = self.engine, True
        self.files.fault = dead
        await old.close()

    def rot(self) -> bool:
        files = [each for each in sorted(self.folder.rglob("*")) if each.is_file() and each.stat().st_size]
        kept = [each for each in files if each.suffix == ".vol" or "large" in each.parts]
        if not kept:
            return False
        with open(self._chance.choice(kept), "r+b") as file:
            data = file.read()
            used = [at for at in range(0, len(data), 16) if data[at : at + 16].strip(b"\0")]
            if not used:
                return False
            spot = min(self._chance.choice(used) + self._chance.randrange(16), len(data) - 1)
            os.pwrite(file.fileno(), bytes((data[spot] ^ 1 << self._chance.randrange(8),)), spot)
        return True
