"""What waits for a moment in which the event loop has nothing else to do."""

from __future__ import annotations

import asyncio
from time import perf_counter

from pileus.drivers.object.lull import LONGEST_SECONDS, lull


async def test_where_nothing_else_is_to_do_nobody_waits() -> None:
    called = asyncio.Event()
    lull().then(called.set)
    assert not called.is_set()
    turns = 0
    while not called.is_set() and turns < 1000:
        turns += 1
        await asyncio.sleep(0)
    assert turns < 1000


async def test_what_comes_while_the_loop_is_busy_goes_together() -> None:
    calls: list[tuple[int, float]] = []
    began = perf_counter()
    number = 0
    while not calls:  # each turn of the loop has work, and more to go with the rest
        lull().then(lambda number=number: calls.append((number, perf_counter())))
        number += 1
        until = perf_counter() + LONGEST_SECONDS / 10
        while perf_counter() < until:
            pass
        await asyncio.sleep(0)
    assert [which for which, _ in calls] == [*range(len(calls))]
    assert len(calls) >= min(number, 5)
    assert calls[0][1] - began >= LONGEST_SECONDS


async def test_one_that_fails_keeps_no_other_from_its_turn() -> None:
    told: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
    called = asyncio.Event()

    def fail() -> None:
        raise OSError("gone")

    lull().then(fail)
    lull().then(called.set)
    async with asyncio.timeout(10):
        await called.wait()
    assert [str(error) for error in told] == ["gone"]


async def test_there_is_one_for_a_loop() -> None:
    assert lull() is lull()
    other = await asyncio.to_thread(asyncio.run, _own())
    assert other is not lull()


async def _own() -> object:
    return lull()
