"""One SQLite file, and the few that are kept open."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pileus.services.object_store.listings import Metadata

OPEN_FILES = 32
CACHE_KIB = 1024

ACCOUNT_SCHEMA = """
CREATE TABLE info (created INTEGER NOT NULL, metadata BLOB NOT NULL);
CREATE TABLE container (
    name TEXT PRIMARY KEY, changed INTEGER NOT NULL, objects INTEGER NOT NULL, bytes_used INTEGER NOT NULL,
    policy INTEGER NOT NULL
) WITHOUT ROWID;
"""
CONTAINER_SCHEMA = """
CREATE TABLE info (
    created INTEGER NOT NULL, metadata BLOB NOT NULL, objects INTEGER NOT NULL, bytes_used INTEGER NOT NULL,
    policy INTEGER NOT NULL
);
CREATE TABLE object (
    name TEXT PRIMARY KEY, changed INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL, content_type TEXT NOT NULL
) WITHOUT ROWID;
"""


class Database:
    """Used by one thread at a time: hold `lock`."""

    def __init__(self, path: Path, schema: str) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.dirty = False
        """Something was committed that is not durable yet."""
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=NORMAL")
        self.connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        if self.connection.execute("PRAGMA user_version").fetchone() == (0,):
            self.connection.executescript(f"BEGIN; {schema} PRAGMA user_version=1; COMMIT")

    @contextmanager
    def writing(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """One transaction; with `durable` it is on the disk when this ends."""
        with self.lock:
            self.connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")
            self.dirty = not durable or self.dirty

    def settle(self) -> None:
        with self.lock:
            if self.dirty:
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self.dirty = False

    def close(self) -> None:
        with self.lock:
            self.settle()
            self.connection.close()


class Databases:
    """The files of one kind, by name hash; the ones used last stay open."""

    def __init__(self, folder: Path, schema: str) -> None:
        self._folder = folder
        self._schema = schema
        self._open: OrderedDict[str, Database] = OrderedDict()
        self._lock = threading.Lock()

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.db"

    @contextmanager
    def using(self, key: str, *, make: bool = False) -> Iterator[Database | None]:
        """The database, locked; None where it is not there and may not be made."""
        while True:
            with self._lock:
                found = self._open.get(key)
                if found is None:
                    path = self._path(key)
                    if not make and not path.exists():
                        yield None
                        return
                    _make_folder(path.parent)
                    found = self._open[key] = Database(path, self._schema)
                self._open.move_to_end(key)
                extra = self._open.popitem(last=False)[1] if len(self._open) > OPEN_FILES else None
            if extra is not None:
                extra.close()
            with found.lock:
                if self._open.get(key) is found:
                    yield found
                    return

    def remove(self, key: str) -> None:
        """The file is gone when this returns, as far as anybody can see."""
        with self._lock:
            found = self._open.pop(key, None)
            if found is not None:
                found.dirty = False
                found.close()
            path = self._path(key)
            for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
                name.unlink(missing_ok=True)

    def settle(self) -> None:
        with self._lock:
            databases = list(self._open.values())
        for database in databases:
            database.settle()

    def close(self) -> None:
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_metadata(blob: bytes) -> dict[str, str]:
    return msgspec.msgpack.decode(blob, type=dict[str, str])


def write_metadata(metadata: Metadata) -> bytes:
    return msgspec.msgpack.encode(dict(metadata))
