"""Signals: what one process changes, all that share its database hear of, with the commit and not before."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from pileus.kernel.api.auth import Revision
from pileus.kernel.clock import SystemClock
from pileus.kernel.db import Tx, open_database
from pileus.testing.database import fresh_schema


async def settled(*revisions: Revision) -> list[int]:
    """Once nobody's number changes by itself any more: on PostgreSQL listening takes a moment to begin."""
    async with asyncio.timeout(60):
        while True:
            numbers = [each.number for each in revisions]
            await asyncio.sleep(0.05)
            if numbers == [each.number for each in revisions]:
                return numbers


async def test_all_processes_hear_of_a_commit(database_url: str) -> None:
    here, there = open_database(database_url, SystemClock()), open_database(database_url, SystemClock())
    fresh_schema(here)
    try:
        mine, others = Revision(here.signal("tokens")), Revision(there.signal("tokens"))
        unrelated = Revision(there.signal("else"))
        before = await settled(mine, others, unrelated)

        def fail(tx: Tx) -> None:
            mine.move(tx)
            raise LookupError("rolled back")

        with contextlib.suppress(LookupError):
            await here.write(fail)
        assert [mine.number, others.number, unrelated.number] == before
        await here.write(mine.move)
        assert mine.number != before[0]
        async with asyncio.timeout(60):
            while others.number == before[1]:  # noqa: ASYNC110 - another process has no event to wait for
                await asyncio.sleep(0.001)
        assert unrelated.number == before[2]
    finally:
        await here.close()
        await there.close()


async def test_on_sqlite_there_is_no_moment_between(tmp_path_factory: pytest.TempPathFactory) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('signal') / 'x.db'}"
    here, there = open_database(url, SystemClock()), open_database(url, SystemClock())
    fresh_schema(here)
    try:
        mine, others = Revision(here.signal("tokens")), Revision(there.signal("tokens"))
        for _ in range(20):
            before = others.number
            await here.write(mine.move)
            assert others.number == before + 1
    finally:
        await here.close()
        await there.close()
