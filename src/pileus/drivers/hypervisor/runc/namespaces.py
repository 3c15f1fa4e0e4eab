"""A container's user namespace, and the network namespace that it owns, made before the container.

The network namespace must belong to the container's user namespace, or the guest could not set its own
addresses; and NICs are plugged before the guest's init looks for them. So both are made first, kept by bind
mounts of their files, and joined by runc.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pileus.drivers.hypervisor.runc import holder, mounts

USER = "user"
NETWORK = "net"


def make(directory: Path, first_id: int, id_count: int) -> None:
    """Make both namespaces, pinned as files `user` and `net` in the directory. Raises OSError."""
    with contextlib.closing(_hold()) as held:
        place = Path(f"/proc/{held.pid}")
        for name in ("uid_map", "gid_map"):
            (place / name).write_text(f"0 {first_id} {id_count}\n")
        for name in (USER, NETWORK):
            (directory / name).touch(mode=0o400)
            mounts.bind(str(place / "ns" / name), directory / name)


class _Holder:
    """A process in both namespaces, with nothing to do. A process with threads cannot enter a new user
    namespace, so one without makes it and waits."""

    def __init__(self, command: Sequence[str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self.pid = self._process.pid
        assert self._process.stdout is not None
        self.is_there = self._process.stdout.readline() != ""

    def close(self) -> str:
        """Let it end; gives what it complained of."""
        return self._process.communicate()[1].strip()


def _hold() -> _Holder:
    complaint = ""
    # The second is for hosts that are a chroot; not for all, as starting Python takes ten times as long.
    quick = ("unshare", "--user", "--net", "--", "sh", "-c", "echo; read -r line")
    for command in (quick, (sys.executable, "-I", holder.__file__)):
        there = _Holder(command)
        if there.is_there:
            return there
        complaint = there.close()
    raise OSError(f"no user namespace can be made: {complaint}; is user.max_user_namespaces 0?")


def release(directory: Path) -> None:
    """Let go of both: they end with the last process in them."""
    for name in (USER, NETWORK):
        mounts.unmount(directory / name)
