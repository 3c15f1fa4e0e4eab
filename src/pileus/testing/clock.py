"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

MOMENT: Final = 0.001
"""How long each call of a neighbour in memory takes, so that the crash harness finds points inside of labels."""
_BUSY_POLL_SECONDS: Final = 0.0001


def _never() -> bool:
    return False


class FakeClock:
    """A `Clock` whose time passes only by `advance`, or by itself when nothing else is left to do (`auto`).

    Sleepers wake in the order of their due times, those due at the same time in the order they went to
    sleep, and all that a waking sleeper sets off has run before the next one wakes.

    `busy` tells whether work goes on that the event loop cannot see, such as a transaction on its thread.
    It must stay true until the loop holds the outcome; the clock stands still meanwhile.

    Belongs to the event loop that first sleeps on it; the loop must be asyncio's own.
    """

    def __init__(
        self,
        start: datetime = datetime(2030, 1, 1, tzinfo=UTC),
        *,
        auto: bool = False,
        busy: Callable[[], bool] = _never,
    ) -> None:
        if start.tzinfo is None:
            raise ValueError("start must be an aware datetime")
        self._start = start
        self._elapsed = 0.0
        self._auto = auto
        self._busy = busy
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._driver: asyncio.Task[None] | None = None

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        await self._alarm(seconds)

    async def wait(self, event: asyncio.Event, timeout: float | None = None) -> bool:
        if event.is_set():
            return True
        if timeout is None:
            return await event.wait()
        if timeout <= 0:
            await asyncio.sleep(0)
            return event.is_set()
        waiter = asyncio.create_task(event.wait())
        alarm = self._alarm(timeout)
        either: set[asyncio.Future[Any]] = {waiter, alarm}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()
            alarm.cancel()
        return event.is_set()

    @property
    def sleepers(self) -> int:
        """How many sleep or wait on this clock with an end in sight."""
        return sum(not alarm.done() for _, _, alarm in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass: wake who is due on the way, each at its own time; return when all is quiet."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        until = self._elapsed + seconds
        await self.settle()
        while (due := self._next_due()) is not None and due <= until:
            self._wake_next()
            await self.settle()
        self._elapsed = max(self._elapsed, until)

    async def settle(self) -> None:
        """Return once every other task waits for something, and `busy` says no. Time does not move."""
        # asyncio tells nobody in public when it has nothing left to run. Two quiet turns, since the poll
        # for I/O comes between them.
        ready: deque[object] = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        quiet = 0
        while quiet < 2:
            if self._busy():
                quiet = 0
                if not ready:
                    # The loop's own timers are no finer than a millisecond, which is ten transactions.
                    time.sleep(_BUSY_POLL_SECONDS)  # noqa: ASYNC251  # there is nobody to hold up
                await asyncio.sleep(0)
                continue
            await asyncio.sleep(0)
            quiet = 0 if ready else quiet + 1

    def _alarm(self, seconds: float) -> asyncio.Future[None]:
        alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), alarm))
        if self._auto and (self._driver is None or self._driver.done()):
            self._driver = asyncio.get_running_loop().create_task(self._drive())
        return alarm

    def _next_due(self) -> float | None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def _wake_next(self) -> None:
        due, _, alarm = heapq.heappop(self._sleepers)
        self._elapsed = max(self._elapsed, due)
        alarm.set_result(None)

    async def _drive(self) -> None:
        await self.settle()
        while self._next_due() is not None:
            self._wake_next()
            await self.settle()
