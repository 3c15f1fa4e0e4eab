"""What a server does not serve when it is asked for, and perhaps may serve."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from pileus.services.object_store.driver import DeviceError

log = structlog.get_logger("pileus.object_store")
FETCH_SECONDS = 1.0
"""It is waited for so long, and then not looked for again for as long."""
AT_ONCE = 64
Fetch = Callable[[str], Awaitable[None]]


class Fetching:
    """Looks for each name once, for all who ask."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """Under way, or over since a little while."""

    def of(self, target: str) -> asyncio.Task[None] | None:
        """None where there was nothing just now."""
        task = self._tasks.get(target)
        if task is None and len(self._tasks) < AT_ONCE:
            task = self._tasks[target] = asyncio.get_running_loop().create_task(self._look_for(target))
        return None if task is None or task.done() else task

    async def close(self) -> None:
        if self._tasks:
            await asyncio.wait([*self._tasks.values()])

    async def _look_for(self, target: str) -> None:
        try:
            await self._fetch(target)
        except (DeviceError, OSError) as error:
            log.warning("what is asked for can't be served", target=target, error=str(error))
        finally:
            asyncio.get_running_loop().call_later(FETCH_SECONDS, self._tasks.pop, target, None)
