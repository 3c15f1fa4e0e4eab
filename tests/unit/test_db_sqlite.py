"""SQLite alone: commits in groups, and what becomes of those who wait when one fails."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from pileus.kernel.clock import SystemClock
from pileus.kernel.db import Database, DatabaseGone, Tx, open_database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.db"


@pytest.fixture
async def db(path: Path) -> AsyncIterator[Database]:
    db = open_database(f"sqlite:///{path}", SystemClock())
    db.run_script("CREATE TABLE t (x INTEGER PRIMARY KEY);")
    yield db
    await db.close()


INSERT = text("INSERT INTO t VALUES (:x)")
COUNT = text("SELECT count(*) FROM t")


def put(tx: Tx, x: int) -> None:
    tx.execute(INSERT, {"x": x})


async def held_up(db: Database, path: Path, count: int) -> tuple[threading.Event, list[asyncio.Task[None]]]:
    """A first write that waits, with `count` more behind it: one group."""
    started, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def first(tx: Tx) -> None:
        put(tx, -1)
        loop.call_soon_threadsafe(started.set)
        assert go.wait(10)

    tasks = [asyncio.create_task(db.write(first))]
    await started.wait()
    tasks += [asyncio.create_task(db.write(put, n)) for n in range(count)]
    await asyncio.sleep(0)
    return go, tasks


async def test_writes_that_wait_together_are_one_transaction_of_one_time(db: Database, path: Path) -> None:
    go, tasks = await held_up(db, path, 0)
    group = [asyncio.create_task(db.write(lambda tx: tx.now)) for _ in range(20)]
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*tasks)
    assert len(set(await asyncio.gather(*group))) == 1


async def test_nothing_is_answered_before_the_commit(db: Database, path: Path) -> None:
    go, tasks = await held_up(db, path, 5)
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM t").fetchone() == (0,)
        assert not any(task.done() for task in tasks)
        go.set()
        await asyncio.gather(*tasks)
        assert other.execute("SELECT count(*) FROM t").fetchone() == (6,)


async def test_a_failed_commit_fails_all_who_wait(db: Database, path: Path) -> None:
    heard: list[str] = []

    def spoil(tx: Tx) -> None:
        tx.after_commit(lambda: heard.append("spoilt"))
        tx.execute(text("PRAGMA defer_foreign_keys=ON"))
        tx.execute(text("CREATE TABLE child (x INTEGER REFERENCES t)"))
        tx.execute(text("INSERT INTO child VALUES (404)"))

    go, tasks = await held_up(db, path, 3)
    tasks.append(asyncio.create_task(db.write(spoil)))
    tasks.append(asyncio.create_task(db.write(put, 50)))
    await asyncio.sleep(0)
    go.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, DatabaseGone) for answer in answers)
    assert heard == []
    assert await db.read(lambda tx: tx.scalar(COUNT)) == 0
    await db.write(put, 1)  # and life goes on
    assert await db.read(lambda tx: tx.scalar(COUNT)) == 1


async def test_a_full_disk_fails_all_who_wait(db: Database, path: Path) -> None:
    await db.write(lambda tx: tx.execute(text("CREATE TABLE blobs (b BLOB)")))

    def fill(tx: Tx) -> None:
        tx.execute(text("PRAGMA max_page_count=20"))
        tx.execute(text("INSERT INTO blobs VALUES (zeroblob(1000000))"))

    go, tasks = await held_up(db, path, 3)
    tasks.append(asyncio.create_task(db.write(fill)))
    await asyncio.sleep(0)
    go.set()
    answers = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert isinstance(answers[-1], Exception)
    kept = await db.read(lambda tx: tx.scalar(COUNT))
    assert kept == sum(answer is None for answer in answers), "who was answered well is kept, nobody else"


async def test_a_transaction_of_another_program_is_waited_for(db: Database, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(db.write(put, 1))
    done, _ = await asyncio.wait({writing}, timeout=0.1)
    assert not done
    other.execute("COMMIT")
    other.close()
    await asyncio.wait_for(writing, 10)


async def test_a_reader_that_stumbled_reads_on(db: Database) -> None:
    async def stumble() -> None:
        await db.read(lambda tx: tx.execute(text("COMMIT")))  # leaves no transaction to roll back

    for _ in range(4):  # whichever of the readers takes it
        with pytest.raises(DatabaseGone):
            await stumble()
    assert [await db.read(lambda tx: tx.scalar(COUNT)) for _ in range(4)] == [0] * 4


async def test_an_answer_for_a_closed_loop_harms_nobody(db: Database, path: Path) -> None:
    def elsewhere() -> None:
        async def ask_and_leave() -> None:
            task = asyncio.ensure_future(db.write(lambda tx: threading.Event().wait(0.1)))
            await asyncio.sleep(0)
            task.cancel()

        asyncio.run(ask_and_leave())

    await asyncio.to_thread(elsewhere)
    await asyncio.wait_for(db.write(put, 1), 10)
    await asyncio.wait_for(db.write(put, 2), 10)
