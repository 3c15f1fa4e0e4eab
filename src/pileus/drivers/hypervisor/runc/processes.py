"""Processes that are nobody's children here: found again by what identifies them."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

_STATE, _START_TIME = 0, 19
"""Fields of /proc/PID/stat counted from the one after the name: proc_pid_stat(5)'s 3 and 22."""


def start_time(pid: int) -> int | None:
    """When a living process began, in clock ticks since boot: with its id, a name that never comes again."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[_STATE] in "ZX" else int(fields[_START_TIME])


def arguments(pid: int) -> list[str]:
    """The command line of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def at_work_on(directory: str, programs: Collection[str]) -> list[int]:
    """All processes of these programs that have the directory as an argument or work in it."""
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        words = arguments(pid)
        ours = bool(words) and os.path.basename(words[0]) in programs
        if ours and (directory in words or _working_directory(pid) == directory):
            found.append(pid)
    return found


def _working_directory(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:  # ended, or one that even root may not look at, and so none of ours
        return None
