"""Walks that set things right in the background: auditor, replicator, expirer and their like, in one frame.

A daemon walks over all it is there for, once or for ever, no faster than its rate. A walk that a stop interrupts goes on
where it was. How far each is, `Daemons.progress` tells: `/recon` and `/metrics` show it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Protocol

import msgspec
import structlog
from prometheus_client import Counter, Gauge

from pileus.kernel.clock import Clock

log = structlog.get_logger("pileus.object_store")
_KEEPING = threading.Lock()
KEEP_SECONDS = 5.0
"""So much of a walk is walked again after a stop, at most."""
SEEN = Counter("pileus_object_daemon_seen", "What daemons of the object store met", ("daemon", "what"))
FAILURES = Counter("pileus_object_daemon_failures", "Walks that ended before their end", ("daemon",))
WALK_SECONDS = Gauge("pileus_object_daemon_walk_seconds", "How long the last whole walk took", ("daemon",))


class Daemon(Protocol):
    """What one kind of walk does."""

    @property
    def name(self) -> str:
        """`object-auditor`; names its file, its metrics and its part of `/recon`."""

    @property
    def every_seconds(self) -> float:
        """From the end of one walk to the start of the next."""

    @property
    def per_second(self) -> float:
        """Steps a second at most; `math.inf` for as fast as it goes."""

    async def walk(self, walk: Walk) -> None:
        """Goes over everything after `walk.since`, with `walk.step` after each thing.

        What is wrong with one thing is counted and passed over; what ends the walk is raised, and the next one begins
        at the beginning.
        """


class Progress(msgspec.Struct, kw_only=True):
    """How far a daemon is; times in seconds since 1970."""

    place: str = ""
    """Where an interrupted walk goes on; empty between walks."""
    began: float = 0.0
    ended: float = 0.0
    """Of the last whole walk."""
    seconds: float = 0.0
    """That it took."""
    walks: int = 0
    counts: dict[str, int] = {}
    """Of the walk under way, or of the last one."""
    totals: dict[str, int] = {}
    failure: str = ""
    """Why the last walk ended before its end."""


class Walk:
    """One walk over everything; a daemon gets it."""

    def __init__(
        self, progress: Progress, name: str, per_second: float, clock: Clock, file: Path | None
    ) -> None:
        self.since = progress.place
        self._progress = progress
        self._name = name
        self._seconds_a_step = 1 / per_second
        self._clock = clock
        self._file = file
        self._due = clock.monotonic()
        self._kept = self._due

    def count(self, **counts: int) -> None:
        """Adds to what `/recon` and `/metrics` show: `walk.count(quarantined=1, bytes=4096)`."""
        for what, many in counts.items():
            self._progress.counts[what] = self._progress.counts.get(what, 0) + many
            self._progress.totals[what] = self._progress.totals.get(what, 0) + many
            SEEN.labels(self._name, what).inc(many)

    async def step(self, place: str, cost: float = 1.0) -> None:
        """All up to `place` is done; returns when the rate allows more. `cost`: how many steps it was worth."""
        self._progress.place = place
        now = self._clock.monotonic()
        self._due = max(self._due, now - 1.0) + cost * self._seconds_a_step
        if now - self._kept > KEEP_SECONDS:
            self._kept = now
            await keep(self._progress, self._file)
        await self._clock.sleep(self._due - now)


async def keep(progress: Progress, file: Path | None) -> None:
    if file is None:
        return
    text = msgspec.json.encode(progress)

    def write() -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        with _KEEPING:
            new.write_bytes(text)
            os.replace(new, file)

    await asyncio.to_thread(write)


class Daemons:
    """All daemons of a process. `folder` keeps how far they are; None: they begin anew with each start."""

    def __init__(self, clock: Clock, folder: Path | None = None) -> None:
        self._clock = clock
        self.folder = folder
        self._daemons: dict[str, Daemon] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.progress: dict[str, Progress] = {}

    def add(self, daemon: Daemon) -> None:
        """Before `start`."""
        if daemon.name in self._daemons:
            raise ValueError(f"there are two daemons named {daemon.name}")
        self._daemons[daemon.name] = daemon
        self.progress[daemon.name] = self._kept(daemon.name)

    def start(self) -> None:
        """Each walks for ever."""
        self._tasks = [asyncio.create_task(self._forever(daemon)) for daemon in self._daemons.values()]

    async def close(self) -> None:
        """Each stops where it is."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for name in self._daemons if self._tasks else ():
            await keep(self.progress[name], self._file(name))
        self._tasks = []

    async def run_once(self, name: str) -> Progress:
        """One whole walk, or the rest of one that was interrupted; raises what ended it before its end."""
        daemon, progress = self._daemons[name], self.progress[name]
        began = self._clock.monotonic()
        if not progress.place:
            progress.began, progress.counts = self._clock.now().timestamp(), {}
        walk = Walk(progress, name, daemon.per_second, self._clock, self._file(name))
        try:
            await daemon.walk(walk)
        except Exception as error:
            progress.place, progress.failure = "", f"{type(error).__name__}: {error}"
            FAILURES.labels(name).inc()
            raise
        progress.place, progress.failure = "", ""
        progress.walks += 1
        progress.ended = self._clock.now().timestamp()
        progress.seconds = self._clock.monotonic() - began
        WALK_SECONDS.labels(name).set(progress.seconds)
        await keep(progress, self._file(name))
        return progress

    async def _forever(self, daemon: Daemon) -> None:
        while True:
            try:
                await self.run_once(daemon.name)
            except Exception:
                log.exception("walk ended before its end; tried again", daemon=daemon.name)
            await self._clock.sleep(daemon.every_seconds)

    def _file(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{name}.json"

    def _kept(self, name: str) -> Progress:
        file = self._file(name)
        if file is None or not file.exists():
            return Progress()
        try:
            return msgspec.json.decode(file.read_bytes(), type=Progress)
        except msgspec.DecodeError:
            log.warning("what was kept of a walk can't be read; it begins anew", file=str(file))
            return Progress()
