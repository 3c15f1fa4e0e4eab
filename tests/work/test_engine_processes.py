"""Engines of several processes on one database, in simulated time: leases, lost and kept, and who goes on."""

from __future__ import annotations

import asyncio

from sqlalchemy import select, update

from pileus.kernel.db import DatabaseGone, Tx
from pileus.kernel.work import Step, Strand, Work
from pileus.kernel.work.model import strands
from tests.engine_house import House, Toy, metric, note


async def test_a_commit_that_the_database_refused_is_made_good_when_the_lease_has_run_out(
    house: House,
) -> None:
    def refused(tx: Tx) -> None:
        raise DatabaseGone("the disk is full")

    async def start(strand: Strand) -> Step:
        return strand.hop(Toy.steady, refused if strand.epoch == 1 else note("started"))

    await house.engine(Toy(house.clock, start=start))
    await house.begin()
    await house.until(house.resting)
    assert 14 < house.clock.monotonic() < 17
    assert await house.notes() == ["started"]


async def test_without_the_lease_nothing_is_kept(house: House) -> None:
    running, go = asyncio.Event(), asyncio.Event()

    async def slow(strand: Strand) -> Step:
        running.set()
        await go.wait()
        return strand.hop(Toy.steady, note("stale"))

    before = metric("pileus_leases_lost_total")
    await house.engine(Toy(house.clock, start=slow))
    await house.begin()
    await running.wait()
    taken = {"epoch": strands.c.epoch + 1, "lease_owner": "two/x"}
    await house.db.write(lambda tx: tx.execute(update(strands).values(taken)))
    go.set()
    await house.until(lambda: metric("pileus_leases_lost_total") == before + 1)
    row = await house.row()
    assert (row.label, row.lease_owner) == ("start", "two/x")
    assert await house.notes() == []


async def killed_in_a_label(house: House) -> None:
    """A process that dies while it has a strand."""
    running = asyncio.Event()

    async def hang(strand: Strand) -> Step:
        running.set()
        await asyncio.Event().wait()
        raise AssertionError

    dying = await house.engine(Toy(house.clock, start=hang))
    await house.begin()
    await running.wait()
    await asyncio.gather(*dying.abandon(), return_exceptions=True)


async def test_a_restarted_process_takes_over_at_once(house: House) -> None:
    await killed_in_a_label(house)
    died_at = house.clock.monotonic()
    toy = Toy(house.clock)
    await house.engine(toy)
    await house.until(house.resting)
    assert house.clock.monotonic() - died_at < 0.2
    assert toy.seen[0].epoch > 1


async def test_another_process_takes_over_when_the_lease_has_run_out(house: House) -> None:
    await killed_in_a_label(house)
    toy = Toy(house.clock)
    await house.engine(toy, node="two")
    await house.until(house.resting)
    assert 14 < house.clock.monotonic() < 17
    assert await house.notes() == ["started"]


async def test_a_long_label_keeps_its_lease(house: House) -> None:
    async def long(strand: Strand) -> Step:
        await house.clock.sleep(28)
        return strand.hop(Toy.steady, note("long"))

    toy, idle = Toy(house.clock, start=long), Toy(house.clock)
    await house.engine(toy)
    await house.engine(idle, node="two", work=Work())
    house.work.attach(house.engines[0])
    await house.begin()
    await house.until(house.resting)
    assert await house.notes() == ["long"]
    assert idle.trail.count("start") == 0


async def test_stop_lets_labels_finish_and_gives_back_the_rest(house: House) -> None:
    running = asyncio.Event()

    async def short(strand: Strand) -> Step:
        running.set()
        await house.clock.sleep(2 if strand.id == "short" else 20)
        return strand.hop(Toy.steady, note(strand.id))

    engine = await house.engine(Toy(house.clock, start=short))
    await house.begin("short")
    await house.begin("long")
    await running.wait()
    await engine.stop(grace=5)
    assert house.clock.monotonic() < 5.5
    assert await house.notes() == ["short"]
    assert [(await house.row(i)).lease_owner for i in ("short", "long")] == [None, None]
    stopped_at = house.clock.monotonic()
    await house.engine(Toy(house.clock), node="two")
    await house.until(lambda: house.resting("long"))
    await house.until(lambda: house.resting("short"))
    assert house.clock.monotonic() - stopped_at < 0.5


async def test_more_strands_than_may_run_at_once(house: House) -> None:
    running = most = 0

    async def count(strand: Strand) -> Step:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await house.clock.sleep(1)
        running -= 1
        return strand.done(note(strand.id))

    toy = Toy(house.clock, start=count)
    await house.engine(toy, limit=4)
    for n in range(50):
        await house.begin(str(n))
    await house.until(lambda: _empty(house))
    assert most == 4
    assert sorted(await house.notes(), key=int) == [str(n) for n in range(50)]


async def test_engines_share_the_work_and_never_a_strand(house: House) -> None:
    async def work(strand: Strand) -> Step:
        await house.clock.sleep(0.5)
        return strand.done(note(strand.id))

    for n in range(40):
        await house.begin(str(n))
    toys = [Toy(house.clock, start=work) for _ in range(3)]
    await asyncio.gather(*(house.engine(toy, node=str(n), work=Work()) for n, toy in enumerate(toys)))
    await house.until(lambda: _empty(house))
    assert sorted(await house.notes(), key=int) == [str(n) for n in range(40)]
    assert sum(len(toy.seen) for toy in toys) == 40


async def _empty(house: House) -> bool:
    return not await house.db.read(lambda tx: tx.rows(select(strands.c.id)))
