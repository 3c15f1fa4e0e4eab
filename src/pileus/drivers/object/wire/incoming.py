"""A stream that a client sends, at the server: what came, and who takes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from mmap import mmap

from pileus.drivers.object.wire.interface import Verb
from pileus.services.object_store.blocks import unused
from pileus.services.object_store.driver import DeviceError

STALL_SECONDS = 60.0
"""A stream of which nothing moves for so long is given up."""


class Incoming:
    """Chunks that came and wait for the disk, in blocks that it can take without a copy."""

    def __init__(self, verb: Verb, balance: Callable[[], None]) -> None:
        """`balance` is called when there is room again."""
        self.verb = verb
        self.finish_arguments: bytes | None = None
        """Of `finish`; None where the stream was given up."""
        self.waiting_bytes = 0
        self._balance = balance
        self._chunks: list[memoryview] = []
        self._blocks: list[mmap] = []
        self._block: memoryview = memoryview(b"")
        """The rest of the last of them."""
        self._placed = 0
        """Bytes at its beginning that came and are not handed on."""
        self._is_over = False
        self._wake: asyncio.Future[None] | None = None

    def place(self, length: int) -> memoryview:
        if not self._block:
            self._block = memoryview(b"")  # an empty view, too, keeps a block in use
            self._block = unused(self._blocks)
        return self._block[self._placed : self._placed + length]

    def placed(self, length: int, *, is_end: bool) -> None:
        self._placed += length
        if is_end or self._placed == len(self._block):
            chunk, self._block = self._block[: self._placed], self._block[self._placed :]
            self._placed = 0
            self._chunks.append(chunk)
            self.waiting_bytes += len(chunk)
            self._awake()

    def come(self, chunk: bytes, *, is_end: bool) -> None:
        """What came before it was known where it belongs: it goes there all the same, so that the rest fits on."""
        rest = memoryview(chunk)
        while rest:
            place = self.place(len(rest))
            place[:] = rest[: len(place)]
            rest = rest[len(place) :]
            self.placed(len(place), is_end=is_end and not rest)

    def end(self, finish: bytes | None) -> None:
        self.finish_arguments = finish
        self._is_over = True
        self._awake()

    def cut(self) -> None:
        """The other end is gone, or has to go."""
        if not self._is_over:
            self._chunks.clear()
            self.end(None)

    async def chunks(self) -> AsyncIterator[bytes]:
        """All of it; raises DeviceError where it was given up."""
        while chunks := await self.next(STALL_SECONDS):
            for chunk in chunks:
                yield bytes(chunk)
        if self.finish_arguments is None:
            raise DeviceError("the other end gave up")

    def _awake(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def next(self, seconds: float) -> list[memoryview]:
        """What came since the last time; nothing at the end. Raises TimeoutError."""
        if not self._chunks and not self._is_over:
            self._wake = asyncio.get_running_loop().create_future()
            await asyncio.wait_for(self._wake, seconds)
        chunks, self._chunks = self._chunks, []
        self.waiting_bytes = 0
        self._balance()
        return chunks
