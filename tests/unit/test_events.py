"""Events on both databases: in the transaction, in order, resumed, trimmed."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.kernel.clock import SystemClock
from pileus.kernel.db import Database, Tx, open_database
from pileus.kernel.events import Events
from pileus.kernel.events.events import GAP, HEARTBEAT, OPENING
from pileus.kernel.events.store import Position
from pileus.testing.clock import FakeClock
from pileus.testing.database import fresh_schema


class House:
    def __init__(self, url: str) -> None:
        self.clock = FakeClock(auto=True, busy=lambda: self.db.busy)
        self.db: Database = open_database(url, self.clock)
        self.events = Events(self.db, self.clock)
        fresh_schema(self.db)

    async def emit(self, *numbers: int, project: str | None = "p", events: Events | None = None) -> None:
        def happen(tx: Tx) -> None:
            for number in numbers:
                (events or self.events).emit(
                    tx,
                    "test.thing.update",
                    project_id=project,
                    resource_id=str(number),
                    payload={"n": number},
                )

        await self.db.write(happen)


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    house = House(database_url)
    yield house
    await house.db.close()


class Follower:
    """Reads a stream as a client does."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self.stream = stream
        self.frames: list[bytes] = []

    async def next(self) -> dict[str, Any]:
        """The next event; comments are skipped."""
        while True:
            while self.frames:
                frame = self.frames.pop(0)
                fields = dict(
                    line.split(b": ", 1) for line in frame.split(b"\n") if not line.startswith(b":")
                )
                if b"data" in fields:
                    return {"id": fields.get(b"id", b"").decode(), "event": fields[b"event"].decode()} | {
                        "data": json.loads(fields[b"data"])
                    }
            self.frames = (await anext(self.stream)).split(b"\n\n")[:-1]

    async def numbers(self, count: int) -> list[int]:
        return [int((await self.next())["data"]["resource_id"]) for _ in range(count)]


async def test_an_event_reaches_who_follows_at_once(house: House) -> None:
    async with aclosing(house.events.stream("p")) as stream:
        assert await anext(stream) == OPENING
        await house.emit(1)
        event = await Follower(stream).next()
        assert house.clock.monotonic() < 0.2
    assert event["event"] == event["data"]["type"] == "test.thing.update"
    assert event["data"]["payload"] == {"n": 1}
    assert event["data"]["at"].startswith("2030-01-01T00:00:00")


async def test_what_another_process_emits_is_found_by_polling(house: House) -> None:
    async with aclosing(house.events.stream("p")) as stream:
        await anext(stream)
        await house.emit(1, events=Events(house.db, house.clock))
        assert await Follower(stream).numbers(1) == [1]
        assert house.clock.monotonic() < 2


async def test_what_is_rolled_back_did_not_happen(house: House) -> None:
    def regret(tx: Tx) -> None:
        house.events.emit(tx, "test.thing.update", project_id="p", resource_id="1")
        raise LookupError

    async with aclosing(house.events.stream("p")) as stream:
        await anext(stream)
        with pytest.raises(LookupError):
            await house.db.write(regret)
        await house.emit(2)
        assert await Follower(stream).numbers(1) == [2]


async def test_projects_hear_of_their_own_alone(house: House) -> None:
    async with aclosing(house.events.stream("p")) as own, aclosing(house.events.stream(None)) as everything:
        await anext(own), await anext(everything)
        await house.emit(1, project="other")
        await house.emit(2, project=None)
        await house.emit(3, project="p")
        assert await Follower(own).numbers(1) == [3]
        assert await Follower(everything).numbers(3) == [1, 2, 3]


async def test_a_client_resumes_where_it_was(house: House) -> None:
    async with aclosing(house.events.stream("p")) as stream:
        await anext(stream)
        await house.emit(1, 2, 3)
        follower = Follower(stream)
        await follower.next()
        last = (await follower.next())["id"]
    await house.emit(*range(4, 1300))
    async with aclosing(house.events.stream("p", last)) as stream:
        assert await Follower(stream).numbers(1297) == list(range(3, 1300))


@pytest.mark.parametrize("last", ["garbage", "0-123456", "-", "9" * 40 + "-1", "0-²"])
async def test_an_unknown_place_is_a_gap(house: House, last: str) -> None:
    await house.emit(1)
    async with aclosing(house.events.stream("p", last)) as stream:
        assert await anext(stream) == OPENING + GAP


async def test_old_events_are_trimmed_and_missed_ones_show_as_a_gap(house: House) -> None:
    async with aclosing(house.events.stream("p")) as stream:
        await anext(stream)
        await house.emit(*range(1201))
        follower = Follower(stream)
        first = (await follower.next())["id"]
    await house.clock.sleep(3600)
    await house.emit(2000)
    trimming = asyncio.create_task(house.events.keep_trimmed(timedelta(minutes=30)))
    await house.clock.sleep(1)
    trimming.cancel()
    async with aclosing(house.events.stream("p", first)) as stream:
        follower = Follower(stream)
        assert (await follower.next())["event"] == "gap"
        assert await follower.numbers(1) == [2000]


async def test_silence_is_kept_alive(house: House) -> None:
    async with aclosing(house.events.stream("p")) as stream:
        await anext(stream)
        assert await anext(stream) == HEARTBEAT
        assert 15 <= house.clock.monotonic() < 17


async def test_a_reader_that_left_is_forgotten(house: House) -> None:
    async with aclosing(house.events.stream("p")) as stream:
        await anext(stream)
    assert house.events._followers == {}


@pytest.mark.host
async def test_an_event_that_commits_late_is_not_overtaken(postgres: Any) -> None:
    """The first to draw a number commits last; who has read the second must still get the first."""
    url = postgres.create_database()
    clock = SystemClock()
    db = open_database(url, clock)
    events = Events(db, clock)
    fresh_schema(db)
    drawn, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(tx: Tx) -> None:
        events.emit(tx, "test.thing.update", project_id="p", resource_id="1")
        loop.call_soon_threadsafe(drawn.set)
        assert go.wait(10)

    def quick(tx: Tx) -> None:
        events.emit(tx, "test.thing.update", project_id="p", resource_id="2")

    async with aclosing(events.stream("p")) as stream:
        await anext(stream)
        first = asyncio.create_task(db.write(slow))
        await drawn.wait()
        await db.write(quick)
        follower = Follower(stream)
        numbers = asyncio.create_task(follower.numbers(2))
        done, _ = await asyncio.wait({numbers}, timeout=0.3)
        assert not done
        go.set()
        await first
        assert sorted(await asyncio.wait_for(numbers, 10)) == [1, 2]
    await db.close()
    postgres.drop_database(url)


@given(st.text())
def test_any_text_is_a_place_or_none(words: str) -> None:
    position = Position.parsed(words)
    assert position is None or Position.parsed(str(position)) == position
