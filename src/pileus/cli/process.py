"""Which process runs the cloud of a state folder. The record is a hint; the lock on the folder is the truth."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

import msgspec

from pileus.kernel.files import write_whole


class RunningCloud(msgspec.Struct, frozen=True):
    pid: int
    base_url: str
    sim: bool

    def is_alive(self) -> bool:
        """Also where nobody has asked yet how it ended, as happens for long in containers: that is not alive."""
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def _file(state: Path) -> Path:
    return state / "running.json"


def record(state: Path, running: RunningCloud) -> None:
    write_whole(_file(state), msgspec.json.encode(running))


def forget(state: Path) -> None:
    _file(state).unlink(missing_ok=True)


def find(state: Path) -> RunningCloud | None:
    """The process that holds the folder's lock, or None."""
    if not _is_locked(state):
        return None
    with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
        return msgspec.json.decode(_file(state).read_bytes(), type=RunningCloud)
    return None


def _is_locked(state: Path) -> bool:
    try:
        file = open(state / "lock")  # noqa: SIM115 - closed below, after the probe
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
