"""`Listings` on one disk: a SQLite file for each account and each container, read and written by two threads.

Changes of objects are gathered and entered together: when somebody asks, when there are many, or after a moment. They are
made durable by `settle`; what a power cut takes is told again, from the objects themselves.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import md5
from pathlib import Path
from typing import Any, TypeVar

from pileus.drivers.object.listing.database import (
    ACCOUNT_SCHEMA,
    CONTAINER_SCHEMA,
    Database,
    Databases,
    read_metadata,
    write_metadata,
)
from pileus.drivers.object.listing.encode import encode
from pileus.drivers.object.listing.select import CONTAINERS, OBJECTS, Table, rows, whole_json, whole_plain
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.listings import (
    AccountInfo,
    Ask,
    ContainerInfo,
    Form,
    Metadata,
    NoSuchContainer,
    NotEmpty,
    ObjectEntry,
    Usage,
)

R = TypeVar("R")
GATHER_SECONDS = 0.25
GATHER_MANY = 2000
THREADS = 2
Pending = dict[tuple[str, str], dict[str, ObjectEntry]]


class SqliteListings:
    def __init__(self, folder: Path) -> None:
        self._mark = folder / "told"
        self._accounts = Databases(folder / "accounts", ACCOUNT_SCHEMA)
        self._containers = Databases(folder / "containers", CONTAINER_SCHEMA)
        self._threads: ThreadPoolExecutor | None = None
        self._pending: Pending = {}
        self._pending_count = 0
        self._flushing: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> str:
        return self._mark.read_text() if self._mark.exists() else ""

    async def close(self) -> None:
        await self._flush()
        await self._run(self._accounts.close)
        await self._run(self._containers.close)
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    async def _run(self, work: Callable[..., R], *arguments: Any) -> R:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="object listings")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def account(self, account: str) -> AccountInfo | None:
        await self._flush()
        return await self._run(self._account, account)

    def _account(self, account: str) -> AccountInfo | None:
        with self._accounts.using(_key(account)) as database:
            if database is None:
                return None
            row = database.connection.execute("SELECT created, metadata FROM info").fetchone()
            if row is None:
                return None
            policies = {
                policy: Usage(*totals)
                for policy, *totals in database.connection.execute(
                    "SELECT policy, count(*), sum(objects), sum(bytes_used) FROM container GROUP BY policy"
                )
            }
            totals = Usage(*(sum(each[n] for each in policies.values()) for n in range(3)))
            return AccountInfo(Timestamp(row[0]), read_metadata(row[1]), *totals, policies=policies)

    async def set_account(self, account: str, now: Timestamp, change: Callable[[Metadata], Metadata]) -> None:
        await self._run(self._set_account, account, now, change)

    def _set_account(self, account: str, now: Timestamp, change: Callable[[Metadata], Metadata]) -> None:
        with self._accounts.using(_key(account), make=True) as database:
            assert database is not None
            _set_info(database, now, change, "created, metadata", "?, ?")

    async def delete_account(self, account: str) -> bool:
        await self._flush()
        return await self._run(self._delete_account, account)

    def _delete_account(self, account: str) -> bool:
        with self._accounts.using(_key(account)) as database:
            if database is None:
                return False
            if database.connection.execute("SELECT 1 FROM container LIMIT 1").fetchone():
                raise NotEmpty
        self._accounts.remove(_key(account))
        return True

    async def container(self, account: str, container: str) -> ContainerInfo | None:
        await self._flush()
        return await self._run(self._container, account, container)

    def _container(self, account: str, container: str) -> ContainerInfo | None:
        with self._containers.using(_key(account, container)) as database:
            row = None
            if database is not None:
                row = database.connection.execute(
                    "SELECT created, metadata, objects, bytes_used, policy FROM info"
                ).fetchone()
            return row and ContainerInfo(Timestamp(row[0]), read_metadata(row[1]), *row[2:])

    async def set_container(
        self,
        account: str,
        container: str,
        now: Timestamp,
        change: Callable[[Metadata], Metadata],
        *,
        make: bool,
        policy: int = 0,
    ) -> bool:
        work = partial(self._set_container, account, container, now, change, make=make, policy=policy)
        return await self._run(work)

    def _set_container(
        self,
        account: str,
        container: str,
        now: Timestamp,
        change: Callable[[Metadata], Metadata],
        *,
        make: bool,
        policy: int,
    ) -> bool:
        with self._containers.using(_key(account, container), make=make) as database:
            if database is None or not (make or database.connection.execute("SELECT 1 FROM info").fetchone()):
                raise NoSuchContainer
            columns = "created, metadata, objects, bytes_used, policy"
            made = _set_info(database, now, change, columns, f"?, ?, 0, 0, {policy:d}")
            (policy,) = database.connection.execute("SELECT policy FROM info").fetchone()
        if make:
            self._set_account(account, now, dict)
            with self._accounts.using(_key(account), make=True) as database:
                assert database is not None
                with database.writing(durable=True) as connection:
                    connection.execute(
                        "INSERT INTO container VALUES (?, ?, 0, 0, ?) "
                        "ON CONFLICT (name) DO UPDATE SET changed = max(changed, excluded.changed)",
                        (container, now.units, policy),
                    )
        return made

    async def delete_container(self, account: str, container: str) -> None:
        await self._flush()
        await self._run(self._delete_container, account, container)

    def _delete_container(self, account: str, container: str) -> None:
        key = _key(account, container)
        with self._containers.using(key) as database:
            if database is None or not database.connection.execute("SELECT 1 FROM info").fetchone():
                raise NoSuchContainer
            with database.writing(durable=True) as connection:
                if connection.execute("SELECT 1 FROM object LIMIT 1").fetchone():
                    raise NotEmpty
                connection.execute("DELETE FROM info")
        with self._accounts.using(_key(account)) as database:
            if database is not None:
                with database.writing(durable=True) as connection:
                    connection.execute("DELETE FROM container WHERE name = ?", (container,))
        self._containers.remove(key)

    def note(self, account: str, container: str, entry: ObjectEntry) -> None:
        self._pending.setdefault((account, container), {})[entry.name] = entry
        self._pending_count += 1
        if self._pending_count >= GATHER_MANY or self._timer is None:
            loop = asyncio.get_running_loop()
            if self._timer is not None:
                self._timer.cancel()
            wait = 0.0 if self._pending_count >= GATHER_MANY else GATHER_SECONDS
            self._timer = loop.call_later(wait, lambda: asyncio.ensure_future(self._flush()))

    async def _flush(self) -> None:
        """What was told before is entered when this returns."""
        while self._flushing is not None:
            await asyncio.wait((self._flushing,))
        if not self._pending:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pending, self._pending, self._pending_count = self._pending, {}, 0
        self._flushing = asyncio.ensure_future(self._run(self._enter, pending))
        try:
            await asyncio.shield(self._flushing)
        finally:
            self._flushing = None

    def _enter(self, pending: Pending) -> None:
        of_accounts: dict[str, list[tuple[int, int, str]]] = {}
        for (account, container), entries in pending.items():
            with self._containers.using(_key(account, container)) as database:
                totals = None if database is None else _enter(database, entries)
            if totals is not None:
                of_accounts.setdefault(account, []).append((*totals, container))
        for account, totals_of in of_accounts.items():
            with self._accounts.using(_key(account)) as database:
                if database is not None:
                    with database.writing(durable=False) as connection:
                        connection.executemany(
                            "UPDATE container SET objects = ?, bytes_used = ? WHERE name = ?", totals_of
                        )

    async def list_containers(self, account: str, ask: Ask, form: Form) -> bytes | None:
        await self._flush()
        return await self._run(self._list, self._accounts, _key(account), CONTAINERS, ask, form, account)

    async def list_objects(self, account: str, container: str, ask: Ask, form: Form) -> bytes | None:
        await self._flush()
        key = _key(account, container)
        return await self._run(self._list, self._containers, key, OBJECTS, ask, form, container)

    def _list(
        self, databases: Databases, key: str, table: Table, ask: Ask, form: Form, root: str
    ) -> bytes | None:
        with databases.using(key) as database:
            if database is None or not database.connection.execute("SELECT 1 FROM info").fetchone():
                return None
            if form != "xml" and not ask.delimiter and ask.path is None:
                whole = whole_json if form == "json" else whole_plain
                return whole(database.connection, table, ask)
            return encode(table, rows(database.connection, table, ask), form, root)

    async def settle(self, mark: str) -> None:
        await self._flush()
        await self._run(self._settle, mark)

    def _settle(self, mark: str) -> None:
        self._containers.settle()
        self._accounts.settle()
        new = self._mark.with_suffix(".new")
        new.parent.mkdir(parents=True, exist_ok=True)
        with open(new, "w") as file:
            file.write(mark)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._mark)


def _key(*names: str) -> str:
    return md5("/".join(names).encode(), usedforsecurity=False).hexdigest()


def _set_info(
    database: Database, now: Timestamp, change: Callable[[Metadata], Metadata], columns: str, values: str
) -> bool:
    """Whether there was nothing before."""
    row = database.connection.execute("SELECT metadata FROM info").fetchone()
    old: Mapping[str, str] = {} if row is None else read_metadata(row[0])
    new = change(old)
    if row is not None and new == old:
        return False
    with database.writing(durable=True) as connection:
        if row is None:
            connection.execute(
                f"INSERT INTO info ({columns}) VALUES ({values})", (now.units, write_metadata(new))
            )
        else:
            connection.execute("UPDATE info SET metadata = ?", (write_metadata(new),))
    return row is None


def _enter(database: Database, entries: Mapping[str, ObjectEntry]) -> tuple[int, int] | None:
    """Objects and bytes in the container afterwards; None where it was deleted."""
    with database.writing(durable=False) as connection:
        totals = connection.execute("SELECT objects, bytes_used FROM info").fetchone()
        if totals is None:
            return None
        count, size = totals
        for entry in entries.values():
            old = connection.execute("SELECT size FROM object WHERE name = ?", (entry.name,)).fetchone()
            if old is not None:
                count, size = count - 1, size - old[0]
            if entry.etag is not None:
                connection.execute(
                    "INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?)",
                    (entry.name, entry.changed.units, entry.size_bytes, entry.etag, entry.content_type),
                )
                count, size = count + 1, size + entry.size_bytes
            elif old is not None:
                connection.execute("DELETE FROM object WHERE name = ?", (entry.name,))
        connection.execute("UPDATE info SET objects = ?, bytes_used = ?", (count, size))
    return count, size
