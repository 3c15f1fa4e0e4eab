"""One SQLite file, and the few that are kept open."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import md5
from pathlib import Path

from pileus.drivers.object.listing.schema import ACCOUNT_SCHEMA, CONTAINER_SCHEMA, load

OPEN_FILES = 48
"""Databases; SQLite has up to three descriptors for each."""
CACHE_KIB = 1024
VERSION = 2


class Database:
    """Used by one thread at a time: hold `lock`."""

    def __init__(self, path: Path | str, schema: str) -> None:
        self.lock = threading.RLock()
        self.dirty = False
        """Something was committed that is not durable yet."""
        self.used = True
        """Since `Databases.settle` looked last."""
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=NORMAL")
        self.connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        if self.connection.execute("PRAGMA user_version").fetchone() == (0,):
            self.connection.executescript(f"BEGIN; {schema} PRAGMA user_version={VERSION}; COMMIT")

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
    """The files of a device, by the hash of their path; the ones used last stay open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: OrderedDict[str, Database] = OrderedDict()
        self._lock = threading.Lock()

    def file(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.db"

    @contextmanager
    def using(self, path: str, *, make: bool = False) -> Iterator[Database | None]:
        """The database, locked; None where it is not there and may not be made."""
        key = key_of(path)
        while True:
            with self._lock:
                found = self._open.get(key)
                if found is None:
                    file = self.file(key)
                    if not make and not file.exists():
                        yield None
                        return
                    make_folder(file.parent)
                    found = self._open[key] = Database(file, _schema(path))
                self._open.move_to_end(key)
                extra = self._open.popitem(last=False)[1] if len(self._open) > OPEN_FILES else None
            if extra is not None:
                extra.close()
            with found.lock:
                if self._open.get(key) is found:
                    found.used = True
                    yield found
                    return

    def remove(self, path: str, when: Callable[[sqlite3.Connection], bool]) -> bool:
        """The file is gone when this returns, as far as anybody can see; unless `when` says otherwise."""
        key = key_of(path)
        with self._lock:
            found = self._open.get(key)
            if found is None:
                if not self.file(key).exists():
                    return True
                found = self._open[key] = Database(self.file(key), _schema(path))
            with found.lock:
                if not when(found.connection):
                    return False
                self._forget(key)
            for name in self._files(key):
                name.unlink(missing_ok=True)
            return True

    def adopt(self, path: str, file: Path) -> None:
        """A whole file, closed and synced, becomes the database, of which there was none."""
        key = key_of(path)
        with self._lock:
            self._forget(key)
            place = self.file(key)
            make_folder(place.parent)
            for name in self._files(key):
                name.unlink(missing_ok=True)
            file.replace(place)
            _sync(place.parent)

    def _files(self, key: str) -> list[Path]:
        file = self.file(key)
        return [file, file.with_name(file.name + "-wal"), file.with_name(file.name + "-shm")]

    def _forget(self, key: str) -> None:
        found = self._open.pop(key, None)
        if found is not None:
            with found.lock:
                found.dirty = False
                found.close()

    def keys(self, after: str, limit: int) -> list[str]:
        """Hashes of the files that there are, in order."""
        found: list[str] = []
        folders = sorted(os.listdir(self._folder)) if self._folder.is_dir() else []
        for folder in folders:
            if len(folder) != 2 or folder < after[:2]:
                continue
            names = sorted(name[:-3] for name in os.listdir(self._folder / folder) if name.endswith(".db"))
            found += [name for name in names if name > after]
            if len(found) >= limit:
                break
        return found[:limit]

    def path_of(self, key: str) -> str | None:
        """Of the file with that hash; None where nothing was made of it."""
        with self._lock:
            found = self._open.get(key)
            if found is not None:
                head = load(found.connection)
                return None if head is None else head.path
        try:
            connection = sqlite3.connect(f"file:{self.file(key)}?mode=rw", uri=True)
        except sqlite3.OperationalError:
            return None  # it went meanwhile
        try:
            head = load(connection)
        except sqlite3.DatabaseError:
            return None
        finally:
            connection.close()
        return None if head is None else head.path

    def settle(self) -> None:
        """All is durable; what was not used since the last time is closed."""
        with self._lock:
            databases = list(self._open.items())
        for key, database in databases:
            with database.lock:
                if self._open.get(key) is database:
                    database.settle()
            with self._lock:
                if database.used:
                    database.used = False
                elif self._open.get(key) is database and database.lock.acquire(blocking=False):
                    try:
                        del self._open[key]
                        database.close()
                    finally:
                        database.lock.release()

    def close(self) -> None:
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    @property
    def open_files(self) -> int:
        return len(self._open)


def _schema(path: str) -> str:
    return CONTAINER_SCHEMA if "/" in path else ACCOUNT_SCHEMA


def key_of(path: str) -> str:
    return md5(path.encode(), usedforsecurity=False).hexdigest()


def make_folder(folder: Path) -> None:
    """With its parents, durably."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
