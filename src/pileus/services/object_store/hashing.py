"""Hashing what is small, beside busy threads."""

from __future__ import annotations

from typing import Protocol

SMALL = 16 * 1024
KEEPS_LOCK = 2047
"""Bytes of an update up to which `hashlib` keeps the interpreter's lock. To get it back from busy threads takes longer than
to hash a little more."""


class Digest(Protocol):
    def update(self, data: memoryview, /) -> None: ...


def feed(digest: Digest, data: bytes) -> None:
    whole = memoryview(data)
    step = KEEPS_LOCK if len(data) <= SMALL else len(data)
    for start in range(0, len(data), step):
        digest.update(whole[start : start + step])
