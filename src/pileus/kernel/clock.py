"""Time as a value that is handed in, so that a test or a simulation can own it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


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


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, timeout: float | None = None) -> bool:
        try:
            async with asyncio.timeout(timeout):
                await event.wait()
        except TimeoutError:
            pass
        return event.is_set()
