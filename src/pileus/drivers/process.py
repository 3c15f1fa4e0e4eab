"""Processes of the host, children or not: watched and ended without ever mistaking another process for one of them."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path

_FLOCK = "hhqqi4x"
"""`struct flock` on 64-bit Linux: type, whence, start, length, pid."""


def holder(pidfile: Path) -> int | None:
    """The pid of the process that holds the pidfile's lock, or None when there is no such process.

    Neither another process nor a reboot can fake it: the kernel drops the lock with the process.
    """
    try:
        fd = os.open(pidfile, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_GETLK, question))
    finally:
        os.close(fd)
    return None if kind == fcntl.F_UNLCK else int(pid)


class Process:
    """A process, held by a descriptor (pidfd_open(2)) that can only ever mean this one."""

    def __init__(self, pid: int, on_end: Callable[[], None] | None = None) -> None:
        """Raises `ProcessLookupError` if there is none. `on_end` is called once it has ended, be it a zombie."""
        self.pid = pid
        self._fd = os.pidfd_open(pid)
        self._told = on_end
        self.ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._fd, self._on_end)

    def send(self, number: signal.Signals) -> None:
        """A signal, where it has not ended."""
        if self._fd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._fd, number)

    async def kill(self) -> None:
        """Returns once it has ended."""
        self.send(signal.SIGKILL)
        await self.ended.wait()

    def release(self) -> None:
        """Let go of it; it runs on."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _on_end(self) -> None:
        self.release()
        self.ended.set()
        if self._told is not None:
            self._told()


async def ended(pid: int) -> None:
    """Returns once the process has ended, be it a zombie or somebody else's; at once when there is none."""
    try:
        process = Process(pid)
    except ProcessLookupError:
        return
    try:
        await process.ended.wait()
    finally:
        process.release()
