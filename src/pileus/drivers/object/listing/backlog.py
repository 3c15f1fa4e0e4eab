"""What devices that were away have not been told yet: a queue in a SQLite file, in no particular order."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from pileus.drivers.object.listing.database import make_folder
from pileus.drivers.object.listing.member import Change, Child
from pileus.services.object_store.listings import ObjectEntry

_SCHEMA = """
CREATE TABLE owed (
    number INTEGER PRIMARY KEY, device INTEGER NOT NULL, path TEXT NOT NULL, told BLOB NOT NULL, elsewhere INTEGER NOT NULL
);
CREATE INDEX owed_to ON owed (device, number);
"""
MOST = 200_000
"""Of what others have as well no more is kept: the replicator will tell it."""


class Told(NamedTuple):
    """What a member is told of one path."""

    change: Change | None = None
    objects: Sequence[ObjectEntry] = ()
    children: Sequence[Child] = ()


class Owed(NamedTuple):
    number: int
    path: str
    told: Told


class Backlog:
    """May be called from any thread; what was added is durable after `settle`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "backlog.db"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._behind: Counter[tuple[int, str]] = Counter()
        self._dirty = False

    def start(self) -> None:
        if self._file.exists():
            self._behind.update(self._open().execute("SELECT device, path FROM owed").fetchall())

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            make_folder(self._file.parent)
            self._connection = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            if self._connection.execute("PRAGMA user_version").fetchone() == (0,):
                self._connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version=1; COMMIT")
        return self._connection

    def behind(self, device: int, path: str) -> bool:
        """Whether it has not been told all of that path."""
        return bool(self._behind) and (device, path) in self._behind

    def __len__(self) -> int:
        return self._behind.total()

    def add(self, device: int, path: str, told: Told, *, elsewhere: bool) -> None:
        """`elsewhere`: other replicas know it."""
        with self._lock:
            connection = self._open()
            data = msgspec.msgpack.encode(told)
            connection.execute(
                "INSERT INTO owed (device, path, told, elsewhere) VALUES (?, ?, ?, ?)",
                (device, path, data, elsewhere),
            )
            self._behind[device, path] += 1
            self._dirty = True
            if self._behind.total() > MOST:
                old = connection.execute(
                    "SELECT number, device, path FROM owed WHERE elsewhere ORDER BY number LIMIT ?",
                    (MOST // 10,),
                ).fetchall()
                self._remove(old)

    def devices(self) -> list[int]:
        return sorted({device for device, _ in self._behind})

    def owed(self, device: int, after: int, limit: int) -> list[Owed]:
        with self._lock:
            found = self._open().execute(
                "SELECT number, path, told FROM owed WHERE device = ? AND number > ? ORDER BY number LIMIT ?",
                (device, after, limit),
            )
            return [
                Owed(number, path, msgspec.msgpack.decode(told, type=Told)) for number, path, told in found
            ]

    def done(self, device: int, what: Sequence[Owed]) -> None:
        with self._lock:
            self._remove([(each.number, device, each.path) for each in what])

    def _remove(self, rows: Sequence[tuple[int, int, str]]) -> None:
        connection = self._open()
        connection.execute("BEGIN")
        connection.executemany("DELETE FROM owed WHERE number = ?", [(number,) for number, _, _ in rows])
        connection.execute("COMMIT")
        for _, device, path in rows:
            self._behind[device, path] -= 1
            if self._behind[device, path] <= 0:
                del self._behind[device, path]
        self._dirty = True

    def settle(self) -> None:
        with self._lock:
            if self._dirty and self._connection is not None:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._dirty = False

    def close(self) -> None:
        self.settle()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
