"""A container's user namespace, and the network namespace that it owns, made before the container.

The network namespace must belong to the container's user namespace, or the guest could not set its own
addresses; and NICs are plugged before the guest's init looks for them. So both are made first, kept by bind
mounts of their files, and joined by runc.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from pileus.drivers.hypervisor.runc import mounts

USER = "user"
NETWORK = "net"


def make(directory: Path, first_id: int, id_count: int) -> None:
    """Make both namespaces, pinned as files `user` and `net` in the directory."""
    # A process with threads cannot enter a new user namespace, so one without makes it and waits.
    holder = subprocess.Popen(
        ["unshare", "--user", "--net", "--", "sh", "-c", "echo; read -r line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        if not holder.stdout.readline():
            raise OSError("unshare: no user namespace can be made; is user.max_user_namespaces 0?")
        place = Path(f"/proc/{holder.pid}")
        for name in ("uid_map", "gid_map"):
            (place / name).write_text(f"0 {first_id} {id_count}\n")
        for name in (USER, NETWORK):
            (directory / name).touch(mode=0o400)
            mounts.bind(str(place / "ns" / name), directory / name)


def release(directory: Path) -> None:
    """Let go of both: they end with the last process in them."""
    for name in (USER, NETWORK):
        mounts.unmount(directory / name)
