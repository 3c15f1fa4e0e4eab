"""The engine, in simulated time, on both databases: what becomes of a strand whatever its labels do."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from datetime import timedelta

import pytest
from sqlalchemy import update

from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.work import Fault, Program, Step, Strand, Work, Write, label
from pileus.kernel.work.model import strands
from tests.engine_house import House, Toy, metric, note


async def test_a_strand_goes_from_label_to_label_and_ends(house: House) -> None:
    toy = Toy(house.clock)
    await house.engine(toy)
    await house.begin(request_id="req-1")
    await house.until(house.resting)
    assert house.clock.monotonic() < 0.2, "it was hinted, not polled for"
    assert await house.destroy()
    await house.until(house.gone)
    assert toy.trail == ["start", "steady", "destroy", "bury"]
    assert await house.notes() == ["started", "buried"]
    assert {strand.request_id for strand in toy.seen} == {"req-1"}
    assert toy.seen[0].deadline_at == toy.seen[0].now + timedelta(seconds=60)
    assert toy.seen[1].deadline_at is None


async def test_one_strand_for_a_resource(house: House) -> None:
    await house.begin()
    with pytest.raises(Duplicate):
        await house.begin()


async def test_what_is_rolled_back_was_never_asked_for(house: House) -> None:
    toy = Toy(house.clock)
    await house.engine(toy)

    def refused(tx: Tx) -> None:
        house.work.begin(tx, Toy, "a")
        raise ValueError("over quota")

    with pytest.raises(ValueError, match="over quota"):
        await house.db.write(refused)
    await house.clock.sleep(30)
    assert toy.seen == []
    assert await house.gone()


async def test_asking_for_a_strand_that_is_not_there_says_so(house: House) -> None:
    assert not await house.wake("nobody")
    assert not await house.destroy("nobody")


async def test_others_work_is_found_by_polling(house: House) -> None:
    toy = Toy(house.clock)
    await house.engine(toy, work=Work())  # the engine of another process: house.work tells it nothing
    await house.clock.sleep(5)
    asked_at = house.clock.monotonic()
    await house.begin()
    await house.until(house.resting)
    assert house.clock.monotonic() - asked_at < 1.5


async def test_a_nap_ends_by_itself_or_by_a_wake(house: House) -> None:
    async def nap(strand: Strand) -> Step:
        return strand.nap(10)

    toy = Toy(house.clock, steady=nap)
    await house.engine(toy)
    await house.begin()
    await house.until(lambda: toy.trail == ["start", "steady", "steady"])
    assert timedelta(seconds=10) <= toy.seen[2].now - toy.seen[1].now < timedelta(seconds=10.1)
    await house.clock.sleep(3)
    woken_at = house.clock.now()
    assert await house.wake()
    await house.until(lambda: len(toy.seen) == 4)
    assert toy.seen[3].now - woken_at < timedelta(seconds=0.1)


async def test_a_wake_while_the_label_runs_is_not_lost(house: House) -> None:
    looking, go = asyncio.Event(), asyncio.Event()

    async def slow(strand: Strand) -> Step:
        looking.set()
        await go.wait()
        return strand.nap()

    toy = Toy(house.clock, steady=slow)
    await house.engine(toy)
    await house.begin()
    await looking.wait()
    assert await house.wake()
    go.set()
    await house.until(house.resting)
    assert toy.trail == ["start", "steady", "steady"]
    assert len({strand.epoch for strand in toy.seen}) == 1, "it went on under the same lease"


async def test_destroy_waits_for_the_running_label_and_takes_over(house: House) -> None:
    started, go = asyncio.Event(), asyncio.Event()

    async def slow(strand: Strand) -> Step:
        started.set()
        await go.wait()
        return strand.hop(Toy.steady, note("started"))

    toy = Toy(house.clock, start=slow)
    await house.engine(toy)
    await house.begin()
    await started.wait()
    await house.destroy()
    go.set()
    await house.until(house.gone)
    assert toy.trail == ["start", "destroy", "bury"]
    assert await house.notes() == ["started", "buried"]


async def test_destroy_before_anything_ran(house: House) -> None:
    await house.begin()
    await house.destroy()
    toy = Toy(house.clock)
    await house.engine(toy)
    await house.until(house.gone)
    assert toy.trail == ["destroy", "bury"]
    assert toy.seen[0].deadline_at == toy.seen[0].now + timedelta(seconds=60)


async def test_asking_again_does_not_restart_the_end(house: House) -> None:
    async def wait(strand: Strand) -> Step:
        return strand.nap() if toy.trail.count("bury") == 1 else strand.done()

    toy = Toy(house.clock, bury=wait)
    await house.engine(toy)
    await house.begin()
    await house.destroy()
    await house.until(house.resting)
    await house.destroy()
    await house.until(house.gone)
    assert toy.trail[-3:] == ["destroy", "bury", "bury"]


async def test_ending_by_itself_gives_way_to_an_asked_for_end(house: House) -> None:
    async def end(strand: Strand) -> Step:
        await house.destroy()
        return strand.done(note("done"))

    toy = Toy(house.clock, steady=end)
    await house.engine(toy)
    await house.begin()
    await house.until(house.gone)
    assert toy.trail == ["start", "steady", "destroy", "bury"]


@pytest.mark.slow
async def test_trouble_backs_off_and_passes(house: House) -> None:
    async def troubled(strand: Strand) -> Step:
        if strand.tries < 5:
            raise OSError("no route to host")
        return strand.nap()

    toy = Toy(house.clock, steady=troubled)
    before = metric("pileus_label_failures_total", program="test.toy", label="steady")
    await house.engine(toy)
    await house.begin()
    await house.until(house.resting)
    runs = toy.seen[1:]
    assert [strand.tries for strand in runs] == [0, 1, 2, 3, 4, 5]
    assert runs[1].last_error == "OSError: no route to host"
    waits = [(b.now - a.now).total_seconds() for a, b in itertools.pairwise(runs)]
    for n, wait in enumerate(waits):
        assert 0.075 * 2**n <= wait <= 0.125 * 2**n + 0.05
    row = await house.row()
    assert (row.tries, row.last_error) == (0, None)
    assert metric("pileus_label_failures_total", program="test.toy", label="steady") - before == 5


async def test_a_write_that_fails_keeps_nothing_and_the_label_runs_again(house: House) -> None:
    def clash(tx: Tx) -> None:
        note("half")(tx)
        raise RuntimeError("the second half fails")

    async def start(strand: Strand) -> Step:
        return strand.hop(Toy.steady, note("whole") if strand.tries else clash)

    toy = Toy(house.clock, start=start)
    await house.engine(toy)
    await house.begin()
    await house.until(house.resting)
    assert toy.trail == ["start", "start", "steady"]
    assert await house.notes() == ["whole"]


async def test_a_passed_deadline_is_a_fault_that_rests_until_woken(house: House) -> None:
    async def wait(strand: Strand) -> Step:
        return strand.nap(25)

    toy = Toy(house.clock, start=wait)
    before = metric("pileus_faults_total", program="test.toy", label="start")
    await house.engine(toy)
    await house.begin()
    await house.until(house.resting)
    assert 60 <= house.clock.monotonic() < 61
    assert [round((s.now - toy.seen[0].now).total_seconds()) for s in toy.seen] == [0, 25, 50, 60]
    assert await house.notes() == ["fault: 'start' did not finish within 60 s"]
    assert metric("pileus_faults_total", program="test.toy", label="start") - before == 1
    assert (await house.row()).label == "steady"
    await house.clock.sleep(1000)
    assert len(toy.seen) == 4
    await house.wake()
    await house.until(lambda: toy.trail[4:] == ["steady"])


@pytest.mark.slow
async def test_the_fault_of_a_failing_label_names_the_error(house: House) -> None:
    async def fail(strand: Strand) -> Step:
        raise OSError("disk full")

    toy = Toy(house.clock, start=fail)
    await house.engine(toy)
    await house.begin()
    await house.until(house.resting)
    assert await house.notes() == ["fault: 'start' did not finish within 60 s: disk full"]
    assert len(toy.seen) < 20


async def test_time_up_while_nobody_worked_still_gets_a_look(house: House) -> None:
    await house.begin()
    await house.clock.sleep(3600)
    toy = Toy(house.clock)
    await house.engine(toy)
    await house.until(house.resting)
    assert await house.notes() == ["started"]


@pytest.mark.parametrize("raised", [True, False])
async def test_giving_up_at_once(house: House, raised: bool) -> None:
    async def refuse(strand: Strand) -> Step:
        fault = Fault("no host has 64 GiB free; the largest has 22 GiB")
        if raised:
            raise fault
        return strand.fail(fault)

    toy = Toy(house.clock, start=refuse)
    await house.engine(toy)
    await house.begin()
    await house.until(house.resting)
    assert toy.trail == ["start"]
    assert await house.notes() == ["fault: no host has 64 GiB free; the largest has 22 GiB"]
    await house.destroy()
    await house.until(house.gone)


async def test_on_fault_that_fails_is_tried_again(house: House) -> None:
    class Clumsy(Toy):
        def on_fault(self, strand: Strand, fault: Fault) -> Write:
            if strand.tries < 2:
                raise KeyError("oops")
            return super().on_fault(strand, fault)

    async def refuse(strand: Strand) -> Step:
        raise Fault("no")

    toy = Clumsy(house.clock, start=refuse)
    await house.engine(toy)
    await house.begin()
    await house.until(house.resting)
    assert toy.trail == ["start"] * 3
    assert await house.notes() == ["fault: no"]


async def test_the_end_is_tried_for_ever(house: House) -> None:
    async def refuse(strand: Strand) -> Step:
        if toy.trail.count("destroy") < 4:
            raise Fault("the volume is busy")
        return strand.hop(Toy.bury)

    toy = Toy(house.clock, destroy=refuse)
    await house.engine(toy)
    await house.begin()
    await house.destroy()
    await house.until(house.gone)
    times = [strand.now for strand in toy.seen if strand.label == "destroy"]
    assert times[3] - times[0] >= timedelta(seconds=180)
    assert (await house.notes()).count("fault: the volume is busy") == 3


async def test_asking_again_hurries_up_a_failed_end(house: House) -> None:
    async def refuse(strand: Strand) -> Step:
        if toy.trail.count("destroy") < 2:
            raise Fault("the volume is busy")
        return strand.hop(Toy.bury)

    toy = Toy(house.clock, destroy=refuse)
    await house.engine(toy)
    await house.begin()
    await house.destroy()
    await house.until(lambda: toy.trail.count("destroy") == 1)
    await house.clock.sleep(1)
    await house.destroy()
    await house.until(house.gone)
    assert house.clock.monotonic() < 5


async def test_a_label_that_takes_too_long_is_cancelled(house: House) -> None:
    async def hang(strand: Strand) -> Step:
        if strand.tries == 0:
            await house.clock.sleep(10_000)
        return strand.nap()

    toy = Toy(house.clock, steady=hang)
    await house.engine(toy)
    await house.begin()
    await house.until(house.resting)
    assert 30 <= house.clock.monotonic() < 33
    assert toy.seen[-1].last_error == "LabelTimeout: cancelled; a label has 30 s"


async def test_a_label_that_will_not_be_cancelled_is_left_behind(house: House) -> None:
    go = asyncio.Event()

    async def stubborn(strand: Strand) -> Step:
        while strand.epoch == 1 and not go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await go.wait()
        return strand.hop(Toy.steady, note(f"epoch {strand.epoch}"))

    before = metric("pileus_leases_lost_total")
    await house.engine(Toy(house.clock, start=stubborn))
    await house.begin()
    await house.until(house.resting)
    assert house.clock.monotonic() < 50
    go.set()
    await house.until(lambda: metric("pileus_leases_lost_total") == before + 1)
    assert await house.notes() == ["epoch 2"]


async def test_a_cancelled_helper_of_a_label_is_passing_trouble(house: House) -> None:
    async def start(strand: Strand) -> Step:
        if strand.tries == 0:
            helper = asyncio.create_task(house.clock.sleep(100))
            helper.cancel()
            await helper
        return strand.hop(Toy.steady)

    toy = Toy(house.clock, start=start)
    await house.engine(toy)
    await house.begin()
    await house.until(house.resting)
    assert toy.trail == ["start", "start", "steady"]


async def test_a_label_that_a_new_version_no_longer_has(house: House) -> None:
    await house.begin()
    await house.db.write(lambda tx: tx.execute(update(strands).values(label="resize")))
    toy = Toy(house.clock)
    await house.engine(toy)
    await house.until(house.resting)
    assert await house.notes() == ["fault: test.toy has no label 'resize' any more"]


def test_programs_are_checked_when_they_are_made() -> None:
    with pytest.raises(TypeError, match="no label 'start'"):

        class NoStart(Program):
            name = "test.no_start"

            @label(destroying=True)
            async def destroy(self, strand: Strand) -> Step:
                return strand.done()
