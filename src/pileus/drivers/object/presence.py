"""When a device was last there: who was away for longer than deletions are remembered would bring back what was deleted."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from pileus.kernel.clock import Clock
from pileus.kernel.files import write_whole
from pileus.services.object_store.daemons import Walk
from pileus.services.object_store.driver import RECLAIM_SECONDS, DeviceError

log = structlog.get_logger("pileus.object_store")
MARK = "last-served"
"""In a device's folder: seconds since 1970, as text."""
EVERY_SECONDS = 1800.0
HEAR_SECONDS = 3600.0
"""A device that comes back must hear of deletions before the others forget them."""
_EMPTY = {MARK, f".{MARK}.new", "lost+found"}


class AwayTooLong(DeviceError):
    """The message names the device, the cause, and the ways out."""


class Presence:
    """A daemon: marks of the devices that are there move on."""

    name = "device-presence"
    every_seconds = EVERY_SECONDS
    per_second = math.inf

    def __init__(self, clock: Clock, reclaim_seconds: float = RECLAIM_SECONDS) -> None:
        self._clock = clock
        self._reclaim_seconds = reclaim_seconds
        self._folders: set[Path] = set()

    def begin(self, folder: Path, others_until: float | None = None) -> None:
        """This device is here from now on. `others_until`: until when there was anybody to forget deletions; None: now.

        Raises AwayTooLong; DeviceError where the mark can't be read or written. A device that holds nothing is always
        welcome, and so is one from before there were marks.
        """
        now = self._clock.now().timestamp()
        last = last_served(folder)
        until = now if others_until is None else others_until
        if last is not None and until - last > self._reclaim_seconds - HEAR_SECONDS and not _is_empty(folder):
            raise AwayTooLong(
                f"{folder} was last in service on {datetime.fromtimestamp(last, UTC):%Y-%m-%d %H:%M} UTC, "
                f"{(until - last) / 86400:.1f} days ago; deletions are remembered for {self._reclaim_seconds / 86400:g} "
                "days, so what was deleted meanwhile would come back with it. Remove what is in it: the other devices fill "
                f"it again. If all devices of the cluster were off meanwhile, remove only {folder / MARK}"
            )
        try:
            write_whole(folder / MARK, _text(now))
        except OSError as error:
            raise DeviceError(f"{folder / MARK} can't be written: {error.strerror}") from error
        self._folders.add(folder)

    def end(self, folder: Path) -> None:
        """It is not here any more."""
        self._folders.discard(folder)

    async def walk(self, walk: Walk) -> None:
        await asyncio.to_thread(self._go_on, walk)

    def _go_on(self, walk: Walk) -> None:
        for folder in sorted(self._folders):
            try:
                # Never made anew: below a mount point that is not mounted it would be another device's.
                fd = os.open(folder / MARK, os.O_WRONLY | os.O_CLOEXEC)
                try:
                    os.pwrite(fd, _text(self._clock.now().timestamp()), 0)
                    os.fdatasync(fd)
                finally:
                    os.close(fd)
            except OSError as error:
                walk.count(failures=1)
                log.error("a device can't be marked as served", folder=str(folder), error=error.strerror)


def newest(folders: Iterable[Path]) -> float | None:
    """When any of these devices was last there. Raises DeviceError."""
    return max(filter(None, map(last_served, folders)), default=None)


def last_served(folder: Path) -> float | None:
    """Seconds since 1970; None where there is no mark. Raises DeviceError."""
    try:
        return float((folder / MARK).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DeviceError(f"{folder / MARK} can't be read: {error}") from error


def _text(seconds: float) -> bytes:
    """Always as long, so that it is overwritten in place."""
    return f"{seconds:020.3f}\n".encode()


def _is_empty(folder: Path) -> bool:
    return not {each.name for each in folder.iterdir()} - _EMPTY
