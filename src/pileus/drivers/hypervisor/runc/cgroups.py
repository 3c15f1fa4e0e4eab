"""A container's control groups in every hierarchy that the host mounts: v1, v2, or both side by side."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from pathlib import Path

import msgspec

_DELEGATED = Path("/sys/kernel/cgroup/delegate")


class Hierarchies(msgspec.Struct, frozen=True):
    mounts: tuple[Path, ...]
    unified: bool
    """All controllers are in one v2 tree; where v1 and v2 are mixed, limits are v1's."""
    swap_accounting: bool

    def of(self, cgroup: str) -> list[Path]:
        """The directories of a cgroup, those that are there."""
        paths = (mount / cgroup.lstrip("/") for mount in self.mounts)
        return [path for path in paths if path.is_dir()]

    def delegate(self, cgroup: str, owner: int) -> None:
        """Give the v2 tree of a container to its root (kernel: cgroup-v2, "Model of Delegation"), as an init
        such as systemd needs. Under v1 that would not be safe, and is not done."""
        if not self.unified:
            return
        for path in self.of(cgroup):
            for name in (".", *_DELEGATED.read_text().split()):
                with contextlib.suppress(FileNotFoundError):
                    os.chown(path / name, owner, owner)


def hierarchies(mountinfo: str | None = None) -> Hierarchies:
    """What this host mounts, in proc_pid_mountinfo(5)'s words."""
    text = Path("/proc/self/mountinfo").read_text() if mountinfo is None else mountinfo
    found: dict[Path, str] = {}
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        kind = rest.split(" ", 1)[0]
        if kind in ("cgroup", "cgroup2"):
            found[Path(fields.split(" ")[4])] = kind
    unified = set(found.values()) == {"cgroup2"}
    memsw = any((mount / "memory.memsw.limit_in_bytes").exists() for mount in found)
    return Hierarchies(tuple(found), unified, unified or memsw)


def kill(directories: list[Path]) -> None:
    """Send SIGKILL to every process in these cgroups and below."""
    for directory in directories:
        for root, _, _ in os.walk(directory):
            for pid in _processes(Path(root)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def remove(directories: list[Path]) -> bool:
    """Remove these cgroups and all below; False while a process that is ending still holds one."""
    for directory in directories:
        for root, _, _ in os.walk(directory, topdown=False):
            try:
                os.rmdir(root)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                return False
    return True


def _processes(directory: Path) -> list[int]:
    try:
        return [int(pid) for pid in (directory / "cgroup.procs").read_text().split()]
    except FileNotFoundError:
        return []
