"""`Member` on one disk: a SQLite file for each account and each container, read and written by two threads."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pileus.drivers.object.listing import handover, schema
from pileus.drivers.object.listing.database import Database, Databases, key_of, make_folder
from pileus.drivers.object.listing.member import (
    Batch,
    Change,
    Changed,
    Child,
    Entered,
    Info,
    Merged,
    Part,
    Range,
    Window,
)
from pileus.drivers.object.listing.merge import child_of
from pileus.drivers.object.listing.replica import ROWS, Replica, entry_of
from pileus.drivers.object.listing.schema import Head
from pileus.kernel.clock import Clock
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import RECLAIM_SECONDS, DeviceError, DeviceFull
from pileus.services.object_store.listings import Ask, Form, ObjectEntry

R = TypeVar("R")
THREADS = 2
MERGE_ROWS = 1000
COPY_BYTES = 1 << 20
CHANGES = 4096


class SqliteMember:
    """`journal`: there are other replicas, which will want to know what changed. `reclaim_seconds` as the reclaimer's."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        journal: bool = False,
        reclaim_seconds: float = RECLAIM_SECONDS,
    ) -> None:
        self.folder = folder
        self._clock = clock
        self._journal = journal
        self._reclaim = Timestamp.at(reclaim_seconds).units
        self._databases = Databases(folder / "lists")
        self._arriving = folder / "arriving"
        self._threads: ThreadPoolExecutor | None = None
        self._boot = uuid.uuid4().hex
        self._changes = [0] * CHANGES
        """Of what lists know of themselves; paths share them by chance."""
        self.ring_digest = ""
        """Of the ring that whoever serves it goes by."""

    async def start(self) -> None:
        await self._run(self._clear)

    def _clear(self) -> None:
        """Files that were on their way."""
        if self._arriving.is_dir():
            for file in self._arriving.iterdir():
                file.unlink()

    async def close(self) -> None:
        await self._run(self._databases.close)
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    async def _run(self, work: Callable[[], R]) -> R:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="object listings")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except sqlite3.Error as error:
            kind = DeviceFull if "full" in str(error) else DeviceError
            raise kind(f"lists in {self.folder}: {error}") from error
        except OSError as error:
            raise DeviceError(f"lists in {self.folder}: {error.strerror}") from error

    def _replica(self, database: Database, path: str) -> Replica:
        now = Timestamp.at(self._clock.now().timestamp()).units
        return Replica(database, path, now, journal=self._journal, forgotten=now - self._reclaim)

    async def on(self, path: str, work: Callable[[Replica], R], *, make: bool = False) -> R | None:
        """What `work` makes of the database; None where there is none."""

        def run() -> R | None:
            with self._databases.using(path, make=make) as database:
                return None if database is None else work(self._replica(database, path))

        return await self._run(run)

    async def info(self, path: str) -> Info | None:
        return await self.on(path, Replica.info)

    async def change(
        self, path: str, change: Change, *, make: bool = False, empty: bool = False
    ) -> Changed | None:
        changed = await self.on(path, lambda one: one.change(change, make=make, empty=empty), make=make)
        self._has_changed(path)
        return changed

    async def enter(self, path: str, rows: Sequence[ObjectEntry]) -> Entered | None:
        return await self.on(path, lambda one: one.enter(rows))

    async def report(self, path: str, children: Sequence[Child], *, durable: bool = False) -> Entered | None:
        return await self.on(path, lambda one: one.report(children, durable=durable))

    async def merge(self, path: str, batch: Batch, *, make: bool = False) -> Merged | None:
        merged = await self.on(path, lambda one: one.merge(batch, make=make), make=make)
        self._has_changed(path)
        return merged

    async def settle(self) -> str:
        await self._run(self._databases.settle)
        return self._boot

    async def word(self, path: str) -> str:
        return f"{self._boot}:{self._changes[hash(path) % CHANGES]}"

    def _has_changed(self, path: str) -> None:
        self._changes[hash(path) % CHANGES] += 1

    async def ring(self) -> str:
        return self.ring_digest

    async def receive(self, path: str, id: str, sequence: int, file: AsyncIterator[bytes]) -> Merged:
        arriving = self._arriving / uuid.uuid4().hex
        await self._run(lambda: make_folder(self._arriving))
        try:
            fd = os.open(arriving, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o640)
            try:
                async for chunk in file:
                    await self._run(lambda: _write(fd, chunk))  # noqa: B023 - run at once
                await self._run(lambda: os.fsync(fd))
            finally:
                os.close(fd)
            return await self._run(lambda: self._receive(path, id, sequence, arriving))
        finally:
            self._has_changed(path)
            arriving.unlink(missing_ok=True)

    def _receive(self, path: str, id: str, sequence: int, arriving: Path) -> Merged:
        source = sqlite3.connect(arriving, isolation_level=None)
        try:
            head = schema.load(source)
            if head is None or head.id != id or head.path != path:
                raise DeviceError(f"what came as the list of {path} is another")
            with self._databases.using(path) as database:
                if database is not None:
                    return self._merge_file(self._replica(database, path), source, head, sequence)
            _make_own(source, head, sequence)
        finally:
            source.close()
        _sync_file(arriving)
        self._databases.adopt(path, arriving)
        return Merged(sequence, ())

    def _merge_file(self, replica: Replica, source: sqlite3.Connection, head: Head, sequence: int) -> Merged:
        theirs = Replica(_Reading(source), replica.path, 0, journal=False)
        news = theirs.batch(head.sequence, 0)
        assert news is not None
        merged = replica.merge(news._replace(upto=0), make=True)
        moved: list[str] = []
        for table in ("container", "tombstone") if replica.is_account else ROWS:
            found = source.execute(f"SELECT {'*' if replica.is_account else ROWS[table]} FROM {table}")
            while part := found.fetchmany(MERGE_ROWS):
                if replica.is_account:
                    news = news._replace(children=[child_of(row) for row in part], objects=(), upto=0)
                else:
                    objects = theirs.not_moved([entry_of(row) for row in part])
                    news = news._replace(objects=objects, upto=0)
                merged = replica.merge(news, make=True)
                moved += merged.moved if merged is not None else ()
        merged = replica.merge(news._replace(objects=(), children=(), upto=sequence), make=True)
        assert merged is not None
        return Merged(merged.known, moved)

    async def copy(self, path: str) -> tuple[str, int, Path] | None:
        """A copy of the whole file: its id, as of which sequence number, and where; the caller removes it."""
        target = self._arriving / f"{uuid.uuid4().hex}.out"
        await self._run(lambda: make_folder(self._arriving))

        def work(replica: Replica) -> tuple[str, int, Path] | None:
            head = schema.load(replica.database.connection)
            if head is None:
                return None
            replica.database.connection.execute("VACUUM INTO ?", (str(target),))
            return head.id, head.sequence, target

        return await self.on(path, work)

    async def chunks(self, file: Path) -> AsyncIterator[bytes]:
        """What `copy` made."""
        fd = await self._run(lambda: os.open(file, os.O_RDONLY))
        try:
            while chunk := await self._run(lambda: os.read(fd, COPY_BYTES)):
                yield chunk
        finally:
            os.close(fd)

    async def paths(self, after: str, limit: int) -> list[tuple[str, str]]:
        """Hashes and paths of the databases that there are, in order of hashes."""

        def work() -> list[tuple[str, str]]:
            found = []
            for key in self._databases.keys(after, limit):
                path = self._databases.path_of(key)
                if path is not None and key_of(path) == key:
                    found.append((key, path))
            return found

        return await self._run(work)

    async def drop(self, path: str, when: Callable[[Head], bool]) -> bool:
        """Removes the file where `when` agrees at that very moment."""

        def agreed(connection: sqlite3.Connection) -> bool:
            head = schema.load(connection)
            return head is None or when(head)

        removed = await self._run(lambda: self._databases.remove(path, agreed))
        self._has_changed(path)
        return removed

    async def head(self, path: str) -> Head | None:
        return await self.on(path, lambda one: schema.load(one.database.connection))

    async def give(self, path: str, part: Range, since: int) -> bool:
        return bool(await self.on(path, lambda one: handover.give(one, part, since)))

    # Last, for above it `list` is the type.
    async def list(self, path: str, ask: Ask, form: Form, window: Window) -> Part | None:
        return await self.on(path, lambda one: one.part(ask, form, window))


class _Reading(Database):
    """A file that is only read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _make_own(source: sqlite3.Connection, head: Head, sequence: int) -> None:
    """The copy becomes a replica of its own."""
    source.execute("BEGIN")
    source.execute("INSERT OR REPLACE INTO point VALUES (?, ?)", (head.id, sequence))
    source.execute("DELETE FROM journal")
    head.base = (head.id, sequence)
    head.id = uuid.uuid4().hex
    head.journal_from = head.sequence
    schema.save(source, head)
    source.execute("COMMIT")


def _sync_file(file: Path) -> None:
    fd = os.open(file, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
