"""Ranges of user and group ids for containers: 65536 for each, so that none is anyone elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

LENGTH = 65536
FIRST = 0x7800_0000
COUNT = 2046
"""2013265920 to 2147352575: the upper half of what systemd's registry of user ids (UIDS-GIDS.md) calls
unused; QEMU's processes get theirs out of the lower half. It lies above what Debian gives to users and their
subordinate ids, and to systemd-nspawn's containers."""


def choose(guest_id: str, taken: Collection[int]) -> int:
    """The first id of a range that is not taken.

    The search starts where the guest's id says, so that two clouds on one host, which do not know of each
    other's ranges, seldom choose the same. Raises `LookupError` when all are taken.
    """
    start = int.from_bytes(hashlib.sha256(guest_id.encode()).digest()[:4]) % COUNT
    for step in range(COUNT):
        first = FIRST + (start + step) % COUNT * LENGTH
        if first not in taken:
            return first
    raise LookupError(f"all {COUNT} ranges of user ids are taken")
