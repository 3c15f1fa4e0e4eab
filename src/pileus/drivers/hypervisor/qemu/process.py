"""A guest's QEMU process, found by the lock that QEMU keeps on its pidfile as long as it lives.

A pid that was given to someone else since is never taken for the guest's, and a second QEMU for the same guest cannot start.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pileus.drivers import process
from pileus.drivers.process import holder


class Process(process.Process):
    signal: int | None = None
    """The signal that ended it, where that is known: of a child only."""

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

    def _on_end(self) -> None:
        # Not a child: someone else reaps it.
        with contextlib.suppress(ChildProcessError):
            _, status = os.waitpid(self.pid, os.WNOHANG)
            if os.WIFSIGNALED(status):
                self.signal = os.WTERMSIG(status)
        super()._on_end()
