"""PostgreSQL alone: collisions are run again, lost connections are replaced."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from pileus.kernel.clock import SystemClock
from pileus.kernel.db import Database, DatabaseGone, Tx, open_database
from pileus.testing.postgres import PostgresServer

pytestmark = pytest.mark.host

COUNT = text("SELECT count(*) FROM t")


@pytest.fixture
async def db(postgres: PostgresServer) -> AsyncIterator[Database]:
    url = postgres.create_database()
    db = open_database(url, SystemClock())
    db.run_script("CREATE TABLE t (x BIGINT);")
    yield db
    await db.close()
    postgres.drop_database(url)


async def test_a_function_that_collides_is_run_again(db: Database) -> None:
    """Each counts the rows and writes what it counted: only a serial order gives 0, 1, 2, …"""
    runs = 0
    together = threading.Barrier(2, timeout=60)

    def count_and_put(tx: Tx) -> None:
        nonlocal runs
        runs += 1
        counted = tx.scalar(COUNT)
        if runs <= 2:
            together.wait()  # both have looked before either writes
        tx.execute(text("INSERT INTO t VALUES (:x)"), {"x": counted})

    await asyncio.gather(db.write(count_and_put), db.write(count_and_put))
    assert runs > 2
    assert await db.read(lambda tx: tx.scalars(text("SELECT x FROM t ORDER BY x"))) == [0, 1]


async def test_hooks_of_a_run_that_collided_are_forgotten(db: Database) -> None:
    heard: list[int] = []
    together = threading.Barrier(2, timeout=60)
    runs = 0

    def put(tx: Tx, number: int) -> None:
        nonlocal runs
        runs += 1
        tx.after_commit(lambda: heard.append(number))
        counted = tx.scalar(COUNT)
        if runs <= 2:
            together.wait()
        tx.execute(text("INSERT INTO t VALUES (:x)"), {"x": counted})

    await asyncio.gather(db.write(put, 1), db.write(put, 2))
    assert runs > 2
    assert sorted(heard) == [1, 2]


async def test_a_connection_that_the_server_dropped_is_replaced(db: Database) -> None:
    def die(tx: Tx) -> None:
        tx.execute(text("INSERT INTO t VALUES (1)"))
        tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    for _ in range(8):  # every thread once
        with pytest.raises(DatabaseGone):
            await db.write(die)
    assert await asyncio.gather(*(db.read(lambda tx: tx.scalar(COUNT)) for _ in range(12))) == [0] * 12


async def test_a_server_that_is_not_there_is_said_so() -> None:
    db = open_database("postgresql:///nothing?host=/nonexistent", SystemClock())
    try:
        with pytest.raises(DatabaseGone, match="nonexistent"):
            await db.read(lambda tx: tx.scalar(COUNT))
    finally:
        await db.close()
