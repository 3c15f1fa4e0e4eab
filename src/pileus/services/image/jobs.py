"""What takes long, running in this process beside the strands that look after it.

A job is named by what it does; a strand's label asks for it again and again until it has ended. Nothing of it is
kept: where the process dies, the next one's strand finds no job and begins it anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

MOST_SECONDS = 86_400
"""What takes longer than a day has gone wrong."""


class Job:
    """One at work, or ended with a result or an error."""

    def __init__(self) -> None:
        self.bytes_done = 0
        self.looks = 0
        self.task: asyncio.Task[Any]

    @property
    def ended(self) -> bool:
        return self.task.done()

    def result(self) -> Any:
        """What it gave; raises what it raised."""
        return self.task.result()


class Jobs:
    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def ensure(self, name: str, make: Callable[[Job], Awaitable[Any]]) -> Job:
        """The job of this name, begun if need be."""
        job = self._jobs.get(name)
        if job is None:
            job = self._jobs[name] = Job()
            job.task = asyncio.ensure_future(self._run(job, make))
            job.task.add_done_callback(_looked_at)
        return job

    @staticmethod
    async def _run(job: Job, make: Callable[[Job], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(MOST_SECONDS):
            return await make(job)

    async def stop(self, prefix: str = "") -> None:
        """Ends all jobs whose names begin so, and returns when they have ended."""
        mine = [self._jobs.pop(name) for name in list(self._jobs) if name.startswith(prefix)]
        for job in mine:
            job.task.cancel()
        await asyncio.gather(*(job.task for job in mine), return_exceptions=True)


def _looked_at(task: asyncio.Task[Any]) -> None:
    """An error is read by the strand, or by nobody where the strand has gone."""
    if not task.cancelled():
        task.exception()
