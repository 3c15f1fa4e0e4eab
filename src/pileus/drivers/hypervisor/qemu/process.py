"""A guest's QEMU process: found, watched and ended without ever mistaking another process for it.

QEMU keeps a lock on its pidfile as long as it lives. The kernel tells who holds it and drops it with the
process, so a pid that was given to someone else since is never taken for the guest's, and a second QEMU for
the same guest cannot start.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
from pathlib import Path

_FLOCK = "hhqqi4x"
"""`struct flock` on 64-bit Linux: type, whence, start, length, pid."""


def holder(pidfile: Path) -> int | None:
    """The pid of the process that holds the pidfile's lock, or None when there is no such process."""
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
    """A process that need not be a child, held by a descriptor that can only ever mean this one."""

    def __init__(self, pid: int) -> None:
        """Raises `ProcessLookupError` if there is none."""
        self.pid = pid
        self._fd = os.pidfd_open(pid)
        self.ended = asyncio.Event()
        self.signal: int | None = None
        """The signal that ended it, where that is known: of a child only."""
        asyncio.get_running_loop().add_reader(self._fd, self._on_end)

    @classmethod
    def find(cls, pidfile: Path) -> Process | None:
        pid = holder(pidfile)
        if pid is None:
            return None
        try:
            found = cls(pid)
        except ProcessLookupError:
            return None
        if holder(pidfile) == pid:
            return found
        found.release()
        return None

    async def kill(self) -> None:
        """Returns once it has ended."""
        if self.ended.is_set():
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._fd, signal.SIGKILL)
        await self.ended.wait()

    def release(self) -> None:
        """Let go of it; it runs on."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _on_end(self) -> None:
        self.release()
        # Not a child: someone else reaps it.
        with contextlib.suppress(ChildProcessError):
            _, status = os.waitpid(self.pid, os.WNOHANG)
            if os.WIFSIGNALED(status):
                self.signal = os.WTERMSIG(status)
        self.ended.set()
