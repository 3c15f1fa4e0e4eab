"""The sharder killed before each of its steps: the list and its counts are whole at once, and the next walk finishes."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pileus.drivers.object.listing.daemons import node_daemons
from pileus.drivers.object.listing.placement import Placement
from pileus.drivers.object.listing.sqlite import SqliteMember
from pileus.drivers.object.listing.store import RingListings
from pileus.kernel.clock import SystemClock
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.daemons import Daemons
from pileus.services.object_store.listings import Ask, NoSuchContainer, NotEmpty, ObjectEntry
from tests.object_list_world import in_memory

R = TypeVar("R")
CLOCK = SystemClock()
TODAY = Timestamp.at(CLOCK.now().timestamp()).units - 10**7
"""What is deleted now is not to be forgotten at once."""
ROWS = 20
"""More are too many for one list."""


class Killed(BaseException):
    """The process is no more."""


class Mortal(SqliteMember):
    """Dies before its n-th step."""

    left = -1
    steps = 0

    async def _run(self, work: Callable[[], R]) -> R:
        self.steps += 1
        if self.left == 0:
            raise Killed
        self.left -= 1
        return await super()._run(work)


class Process:
    """One life of it, over what the one before left."""

    def __init__(self, folder: Path) -> None:
        self.member = Mortal(folder, CLOCK)
        self.listings = RingListings(Placement({0: self.member}), folder, CLOCK)
        self.daemons = Daemons(CLOCK)
        for daemon in node_daemons({0: self.member}, self.listings, CLOCK, shard_rows=ROWS):
            self.daemons.add(daemon)

    async def walk(self, times: int = 3) -> None:
        for _ in range(times):
            for name in ("list-updater", "list-sharder"):
                self.daemons._daemons[name].per_second = 1e9  # type: ignore[misc]  # no waiting here
                await self.daemons.run_once(name)

    async def tell(self, names: list[str], *, at: int, etag: str | None = "e") -> None:
        when = Timestamp(TODAY + at)
        for name in names:
            self.listings.note("a", "c", ObjectEntry(name, when, when, 2 if etag else 0, etag, "t"))
        await self.listings.entering.flush()

    async def check(self, names: set[str], *, counts: bool = True) -> None:
        body = await self.listings.list_objects("a", "c", Ask(), "json")
        assert [each["name"] for each in json.loads(body or b"null")] == sorted(names)
        if counts:
            info = await self.listings.container("a", "c")
            assert info is not None
            assert (info.objects, info.bytes_used) == (len(names), 2 * len(names))

    async def ranges(self) -> list[Any]:
        info = await self.listings.router.info("a/c")
        assert info is not None
        return [each for each in info.ranges if each.state == "created"]

    async def end(self) -> None:
        self.member.left = -1
        await self.listings.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    with in_memory() as made:
        yield made


def many(begin: int, end: int, step: int = 1) -> list[str]:
    return [f"n{number:03}" for number in range(begin, end, step)]


async def prepared(folder: Path) -> list[tuple[Path, set[str]]]:
    """A list that is to be split; one with a shard to be split; one with shards to be joined."""
    found = []
    process = Process(folder / "world")
    await process.listings.start()
    await process.listings.set_container("a", "c", Timestamp(1), dict, make=True)
    names = set(many(0, 300, 5))

    async def keep(what: str) -> None:
        nonlocal process
        await process.end()
        shutil.copytree(folder / "world", folder / what)
        found.append((folder / what, set(names)))
        process = Process(folder / "world")
        await process.listings.start()

    await process.tell(sorted(names), at=10)
    await keep("split")
    await process.walk()
    assert len(await process.ranges()) == 6
    names |= set(many(0, 50))
    await process.tell(many(0, 50), at=11)
    await keep("resplit")
    await process.walk()
    assert len(await process.ranges()) > 7
    gone = [name for number, name in enumerate(sorted(names)) if number % 12]
    await process.tell(gone, at=12, etag=None)
    names -= set(gone)
    await keep("join")
    await process.walk(12)
    assert len(await process.ranges()) < 4
    await process.check(names)
    await process.end()
    return found


async def killed_before(step: int, template: Path, names: set[str], folder: Path) -> bool:
    """Whether there was such a step."""
    shutil.copytree(template, folder)
    process = Process(folder)
    await process.listings.start()
    process.member.left = step
    alive = True
    try:
        await process.walk()
    except Killed:
        alive = False
    await process.end()
    process = Process(folder)
    await process.listings.start()
    await process.check(names)
    await process.daemons.run_once("list-updater")
    await process.check(names)
    new = names | {"n000x", "n150x", "zzz"}
    await process.tell(sorted(new - names), at=20)
    await process.tell([min(names)], at=21, etag=None)
    new -= {min(names)}
    await process.check(
        new, counts=False
    )  # of what shards are given while they are joined the root hears later
    await process.walk()
    await process.check(new)
    account = await process.listings.account("a")
    assert account is not None
    assert account[2:5] == (1, len(new), 2 * len(new))
    await process.end()
    shutil.rmtree(folder)
    return not alive


@pytest.mark.slow
@pytest.mark.parametrize("stride", [41, 9])
async def test_killed_before_every_step(folder: Path, stride: int) -> None:
    for number, (template, names) in enumerate(await prepared(folder)):
        step = number % stride
        while await killed_before(step, template, names, folder / "mortal"):
            step += stride
        assert step > 40, "there was something to be killed in"


async def test_a_sharded_container_is_deleted_and_made_anew(folder: Path) -> None:
    process = Process(folder)
    await process.listings.start()
    await process.listings.set_container("a", "c", Timestamp(1), lambda _: {"x": "1"}, make=True)
    await process.tell(many(0, 60), at=10)
    await process.walk()
    with pytest.raises(NotEmpty):
        await process.listings.delete_container("a", "c")
    await process.tell(many(0, 60), at=11, etag=None)
    await process.listings.delete_container("a", "c")
    assert await process.listings.container("a", "c") is None
    assert await process.listings.list_objects("a", "c", Ask(), "json") is None
    with pytest.raises(NoSuchContainer):
        await process.listings.delete_container("a", "c")
    now = Timestamp.at(CLOCK.now().timestamp() + 1)
    assert await process.listings.set_container("a", "c", now, dict, make=True)
    info = await process.listings.container("a", "c")
    assert info is not None
    assert (info.metadata, info.objects, info.created) == ({}, 0, now)
    await process.tell(["n010", "n059"], at=now.units - TODAY + 1)
    await process.check({"n010", "n059"})
    await process.end()


@pytest.mark.slow
async def test_writers_and_readers_notice_nothing(folder: Path) -> None:
    """While ranges are handed over, every list has all that was told before it was asked for, and nothing deleted."""
    process = Process(folder)
    await process.listings.start()
    await process.listings.set_container("a", "c", Timestamp(1), dict, make=True)
    names = set(many(0, 400, 2))
    await process.tell(sorted(names), at=10)
    chance = random.Random(1)
    at = 20
    walking = asyncio.create_task(process.walk(2))
    turns = 0
    while not walking.done():
        at, turns = at + 1, turns + 1
        new = chance.sample(many(0, 400), 3)
        gone = chance.sample(sorted(names), 2)
        await asyncio.gather(process.tell(new, at=at), process.tell(gone, at=at + 1, etag=None))
        at += 1
        names = (names | set(new)) - set(gone)
        await process.check(names, counts=False)
    await walking
    assert turns > 20
    assert len(await process.ranges()) > 6
    await process.walk()
    await process.check(names)
    await process.end()
