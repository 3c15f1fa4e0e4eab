"""Hashing: what is small, beside busy threads; and what is large, in a thread."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5
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


class Hashing:
    """The MD5 of a large body, in a thread of its own: it never waits for the event loop to bring the next block."""

    AHEAD = 2
    """Blocks that may wait for it."""

    def __init__(self) -> None:
        self._digest = md5(usedforsecurity=False)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hashing")
        self._pending: deque[asyncio.Future[None]] = deque()

    def __enter__(self) -> Hashing:
        return self

    def __exit__(self, *exc: object) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def update(self, block: bytes | memoryview) -> None:
        """Returns when the next block may come."""
        if len(self._pending) == self.AHEAD:
            await self._pending.popleft()
        loop = asyncio.get_running_loop()
        self._pending.append(loop.run_in_executor(self._thread, self._digest.update, block))

    async def hexdigest(self) -> str:
        while self._pending:
            await self._pending.popleft()
        return self._digest.hexdigest()
