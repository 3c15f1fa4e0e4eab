"""Walks go on where a stop interrupted them, keep to their rate, and outlive what goes wrong."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from pileus.services.object_store.daemons import Daemons, Walk
from pileus.testing.clock import FakeClock

THINGS = ["a", "b", "c", "d"]


class Counting:
    name = "counting"
    every_seconds = 60.0

    def __init__(self, per_second: float = math.inf, fail_at: str = "") -> None:
        self.per_second = per_second
        self.fail_at = fail_at
        self.seen: list[str] = []

    async def walk(self, walk: Walk) -> None:
        for each in THINGS:
            if each <= walk.since:
                continue
            if each == self.fail_at:
                raise OSError("the disk is gone")
            self.seen.append(each)
            walk.count(things=1)
            await walk.step(each)


async def test_a_walk_keeps_to_its_rate_and_is_counted() -> None:
    clock = FakeClock(auto=True)
    daemons = Daemons(clock)
    daemons.add(Counting(per_second=2))
    done = await daemons.run_once("counting")
    assert (done.counts, done.walks, done.place) == ({"things": 4}, 1, "")
    assert done.seconds == pytest.approx(2.0)
    assert (await daemons.run_once("counting")).totals == {"things": 8}


async def test_what_a_stop_interrupts_goes_on_where_it_was(tmp_path: Path) -> None:
    clock = FakeClock()
    daemon = Counting(per_second=0.5)
    daemons = Daemons(clock, tmp_path)
    daemons.add(daemon)
    daemons.start()
    await clock.advance(3)
    assert daemon.seen == ["a", "b"]
    await daemons.close()

    again = Counting()
    daemons = Daemons(clock, tmp_path)
    daemons.add(again)
    done = await daemons.run_once("counting")
    assert again.seen == ["c", "d"]
    assert done.counts == {"things": 4}


async def test_what_ends_a_walk_is_told_and_the_next_begins_anew() -> None:
    clock = FakeClock()
    daemon = Counting(fail_at="c")
    daemons = Daemons(clock)
    daemons.add(daemon)
    daemons.start()
    await clock.advance(1)
    assert daemons.progress["counting"].failure == "OSError: the disk is gone"
    daemon.fail_at = ""
    await clock.advance(60)
    assert daemon.seen == ["a", "b", "a", "b", "c", "d"]
    assert daemons.progress["counting"].failure == ""
    await daemons.close()
