"""A program that holds a new user namespace, and a network namespace that it owns, until standard input ends.

Linux gives nobody in a chroot a user namespace (user_namespaces(7)). Entering the mount namespace that one
is in already leads back to its true root, so that is done first. No file is opened there.
"""

from __future__ import annotations

import ctypes
import os
import sys

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    for outcome in (libc.setns(here, _CLONE_NEWNS), libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)):
        if outcome != 0:
            sys.exit(os.strerror(ctypes.get_errno()))
    os.write(1, b"\n")
    os.read(0, 1)


if __name__ == "__main__":
    main()
