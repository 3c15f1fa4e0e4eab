"""Bringing back a daemon that dies while Pileus runs, as the next start would."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence

import structlog

from pileus.drivers.network.ovn.daemons import Daemon
from pileus.services.network.driver import NetworkError

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 30.0

log = structlog.get_logger("pileus.network")


class Supervisor:
    """Follows processes by their pidfds, which costs nothing as long as none ends."""

    def __init__(self, daemons: Sequence[Daemon], mend: Callable[[], Awaitable[None]]) -> None:
        """`mend` starts what is not running; it may raise `NetworkError`, and is then tried again."""
        self._daemons = daemons
        self._mend = mend
        self._followed: dict[str, int] = {}
        """Pidfd by the daemon's name."""
        self._mending: asyncio.Task[None] | None = None

    def follow(self) -> None:
        """Follow every daemon that runs and is not followed yet."""
        loop = asyncio.get_running_loop()
        for daemon in self._daemons:
            pid = daemon.pid()
            if daemon.name in self._followed or pid is None:
                continue
            try:
                process = os.pidfd_open(pid)
            except ProcessLookupError:
                self._ended(daemon.name)
                continue
            self._followed[daemon.name] = process
            loop.add_reader(process, self._ended, daemon.name)

    def stop(self) -> None:
        """Follow nothing any more."""
        if self._mending is not None:
            self._mending.cancel()
            self._mending = None
        for name in list(self._followed):
            self._let_go(name)

    def _let_go(self, name: str) -> None:
        process = self._followed.pop(name, None)
        if process is not None:
            asyncio.get_running_loop().remove_reader(process)
            os.close(process)

    def _ended(self, name: str) -> None:
        self._let_go(name)
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
