"""The two clocks keep the same promises; the fake one also moves as told."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.kernel.clock import Clock, SystemClock
from pileus.testing.clock import FakeClock


@pytest.fixture(params=["system", "fake"])
def clock(request: pytest.FixtureRequest) -> Clock:
    return SystemClock() if request.param == "system" else FakeClock(auto=True)


def test_now_is_aware_and_utc(clock: Clock) -> None:
    assert clock.now().utcoffset() == timedelta(0)


def test_sleep_lasts_as_long_as_asked(clock: Clock) -> None:
    async def nap() -> tuple[float, timedelta]:
        started, at = clock.monotonic(), clock.now()
        await clock.sleep(0.02)
        return clock.monotonic() - started, clock.now() - at

    elapsed, by_day = asyncio.run(nap())
    assert elapsed >= 0.0199
    assert by_day >= timedelta(seconds=0.0199)


def test_wait_ends_when_the_event_is_set(clock: Clock) -> None:
    async def main() -> bool:
        event = asyncio.Event()

        async def setter() -> None:
            await clock.sleep(0.01)
            event.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(setter())
            return await clock.wait(event, 60)

    assert asyncio.run(main()) is True
    if isinstance(clock, FakeClock):
        assert clock.monotonic() == 0.01


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_wait_gives_up(clock: Clock, timeout: float) -> None:
    assert asyncio.run(clock.wait(asyncio.Event(), timeout)) is False


async def test_a_long_wait_gives_up_a_little_late_and_many_together() -> None:
    clock, never = SystemClock(), asyncio.Event()
    began = clock.monotonic()
    assert await asyncio.gather(*(clock.wait(never, 0.26) for _ in range(3))) == [False] * 3
    assert clock.monotonic() - began >= 0.26


async def test_who_is_cancelled_in_a_long_wait_is_not_taken_for_late() -> None:
    clock, never = SystemClock(), asyncio.Event()

    async def waiter(seconds: float) -> bool:
        return await clock.wait(never, seconds)

    task = asyncio.create_task(waiter(60))
    other = asyncio.create_task(waiter(60))
    await asyncio.sleep(0)
    task.cancel()
    never.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await other is True
    assert other.cancelling() == 0


def test_wait_for_what_is_set_returns_at_once(clock: Clock) -> None:
    async def main() -> list[bool]:
        event = asyncio.Event()
        event.set()
        return [await clock.wait(event), await clock.wait(event, 0), await clock.wait(event, 5)]

    assert asyncio.run(main()) == [True, True, True]


def test_cancelled_sleep_raises_and_is_forgotten(clock: Clock) -> None:
    async def main() -> None:
        task = asyncio.create_task(clock.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    if isinstance(clock, FakeClock):
        assert (clock.sleepers, clock.monotonic()) == (0, 0.0)


def test_time_stands_still_until_advanced() -> None:
    clock = FakeClock(datetime(2031, 5, 1, tzinfo=UTC))

    async def main() -> None:
        task = asyncio.create_task(clock.sleep(10))
        await clock.settle()
        assert (task.done(), clock.sleepers) == (False, 1)
        await clock.advance(9.5)
        assert not task.done()
        await clock.advance(0.5)
        assert task.done()

    asyncio.run(main())
    assert clock.now() == datetime(2031, 5, 1, 0, 0, 10, tzinfo=UTC)


@given(
    st.lists(st.floats(min_value=0.001, max_value=100), max_size=20), st.floats(min_value=0, max_value=120)
)
def test_sleepers_wake_in_order_each_at_its_own_time(naps: list[float], advance: float) -> None:
    clock = FakeClock()
    woke: list[tuple[float, int]] = []

    async def sleeper(number: int) -> None:
        await clock.sleep(naps[number])
        woke.append((clock.monotonic(), number))

    async def main() -> None:
        tasks = [asyncio.create_task(sleeper(number)) for number in range(len(naps))]
        await clock.advance(advance)
        for task in tasks:
            task.cancel()

    asyncio.run(main())
    assert woke == sorted((nap, number) for number, nap in enumerate(naps) if nap <= advance)
    assert clock.monotonic() == advance


def test_what_a_sleeper_sets_off_runs_before_the_next_wakes() -> None:
    clock = FakeClock()
    seen: list[str] = []

    async def chain() -> None:
        await clock.sleep(1)
        for step in range(20):
            await asyncio.sleep(0)
            seen.append(f"step {step}")
        await clock.sleep(0.5)
        seen.append("slept again")

    async def later() -> None:
        await clock.sleep(2)
        seen.append("later")

    async def main() -> None:
        tasks = [asyncio.create_task(later()), asyncio.create_task(chain())]
        await clock.advance(3)
        assert all(task.done() for task in tasks)

    asyncio.run(main())
    assert seen == [*(f"step {step}" for step in range(20)), "slept again", "later"]


def test_auto_jumps_over_a_year_of_naps() -> None:
    clock = FakeClock(auto=True)
    ticks: list[float] = []

    async def ticker(seconds: float, until: float) -> None:
        while clock.monotonic() < until:
            await clock.sleep(seconds)
            ticks.append(clock.monotonic())

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ticker(86_400, 365 * 86_400))
            group.create_task(ticker(7 * 86_400, 365 * 86_400))

    asyncio.run(main())
    assert ticks == sorted(ticks)
    assert clock.monotonic() == 53 * 7 * 86_400


@pytest.mark.parametrize("drive", ["auto", "advance"])
def test_time_waits_for_work_on_other_threads(drive: str) -> None:
    running = 0
    clock = FakeClock(auto=drive == "auto", busy=lambda: running > 0)
    release = threading.Event()

    async def work() -> float:
        nonlocal running
        running += 1
        try:
            await asyncio.to_thread(release.wait, 5)
        finally:
            running -= 1
        return clock.monotonic()

    async def main() -> float:
        worker = asyncio.create_task(work())
        sleeper = asyncio.create_task(clock.sleep(10))
        asyncio.get_running_loop().call_later(0.05, release.set)
        if drive == "advance":
            await clock.advance(10)
        await sleeper
        return await worker

    assert asyncio.run(main()) == 0.0
    assert clock.monotonic() == 10


def test_refusals() -> None:
    with pytest.raises(ValueError, match="aware"):
        FakeClock(datetime(2031, 1, 1))
    with pytest.raises(ValueError, match="backwards"):
        asyncio.run(FakeClock().advance(-1))
