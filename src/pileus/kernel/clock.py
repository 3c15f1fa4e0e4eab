"""Time as a value that is handed in, so that a test or a simulation can own it."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol
from weakref import WeakKeyDictionary


class Clock(Protocol):
    """The time, for all code that waits or stamps; never `datetime.now` or `asyncio.sleep` beside it."""

    def now(self) -> datetime:
        """The time of day: aware, UTC. May be called from any thread."""

    def monotonic(self) -> float:
        """Seconds that only grow, for durations and leases. May be called from any thread."""

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` have passed; zero or less only lets other tasks run."""

    async def wait(self, event: asyncio.Event, timeout: float | None = None) -> bool:
        """Wait until `event` is set, at most `timeout` seconds; tell whether it is set."""


COARSE_SECONDS = 0.25
"""From here on a timeout is long."""
A_SECOND = 32
"""Moments in which long timeouts end."""


class SystemClock:
    """The machine's own time."""

    def __init__(self) -> None:
        self._moments: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, set[_Alarm]]] = (
            WeakKeyDictionary()
        )

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, timeout: float | None = None) -> bool:
        """A long timeout may be up to 1/32 s late: a timer for each of many that wait costs more than they do."""
        if timeout is None:
            await event.wait()
            return event.is_set()
        if event.is_set():
            return True
        if timeout < COARSE_SECONDS:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await event.wait()
            return event.is_set()
        task = asyncio.current_task()
        assert task is not None
        alarm = _Alarm(task)
        waiting = self._waiting(timeout)
        waiting.add(alarm)
        try:
            await event.wait()
        except asyncio.CancelledError:
            if not alarm.has_rung or task.uncancel() > alarm.cancelled_before:
                raise
        finally:
            waiting.discard(alarm)
        return event.is_set()

    def _waiting(self, seconds: float) -> set[_Alarm]:
        """Those that are woken together when so much time has passed, or a little more."""
        loop = asyncio.get_running_loop()
        moments = self._moments.get(loop)
        if moments is None:
            moments = self._moments[loop] = {}
        moment = math.ceil((loop.time() + seconds) * A_SECOND)
        waiting = moments.get(moment)
        if waiting is None:
            waiting = moments[moment] = set()
            loop.call_at(moment / A_SECOND, _ring, moments, moment)
        return waiting


class _Alarm:
    """Ends what a task waits for, as `asyncio.timeout` does."""

    __slots__ = ("cancelled_before", "has_rung", "task")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.cancelled_before = task.cancelling()
        self.has_rung = False

    def ring(self) -> None:
        self.has_rung = True
        self.task.cancel()


def _ring(moments: dict[int, set[_Alarm]], moment: int) -> None:
    for alarm in moments.pop(moment):
        alarm.ring()
