"""Bringing back a daemon that dies while Pileus runs, as the next start would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog

from pileus.drivers.network.ovn.daemons import Daemon
from pileus.drivers.process import Process
from pileus.services.network.driver import NetworkError

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 30.0

log = structlog.get_logger("pileus.network")


class Supervisor:
    """Follows processes, which costs nothing as long as none ends."""

    def __init__(self, daemons: Sequence[Daemon], mend: Callable[[], Awaitable[None]]) -> None:
        """`mend` starts what is not running; it may raise `NetworkError`, and is then tried again."""
        self._daemons = daemons
        self._mend = mend
        self._followed: dict[str, Process] = {}
        """By the daemon's name."""
        self._mending: asyncio.Task[None] | None = None

    def follow(self) -> None:
        """Follow every daemon that runs and is not followed yet."""
        for daemon in self._daemons:
            pid = daemon.pid()
            if daemon.name in self._followed or pid is None:
                continue
            try:
                self._followed[daemon.name] = Process(pid, partial(self._ended, daemon.name))
            except ProcessLookupError:
                self._ended(daemon.name)

    def stop(self) -> None:
        """Follow nothing any more."""
        if self._mending is not None:
            self._mending.cancel()
            self._mending = None
        for process in self._followed.values():
            process.release()
        self._followed.clear()

    def _ended(self, name: str) -> None:
        self._followed.pop(name, None)
        log.warning("network daemon died", daemon=name)
        if self._mending is None or self._mending.done():
            self._mending = asyncio.create_task(self._mend_until_whole())

    async def _mend_until_whole(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            await asyncio.sleep(pause)
            try:
                await self._mend()
                self.follow()
            except (NetworkError, OSError) as error:
                log.error("network daemons do not come back", error=str(error), retry_in_seconds=pause)
            if len(self._followed) == len(self._daemons):
                log.info("network daemons are back")
                return
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
