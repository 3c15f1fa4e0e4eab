"""Taking an image's bytes: hashed, inspected and written as they come, in constant memory.

Each of the three has a thread of its own, so that a stream goes at the pace of the slowest, not of their sum.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pileus.lib.image_format import Inspection, Inspector, is_stored_as
from pileus.services.image.chunks import gathered
from pileus.services.image.domain import stored_format
from pileus.services.image.driver import Writer

SMALL = 64 * 1024
"""What is smaller is not worth a thread's while."""
AHEAD = 4
"""Chunks that each worker may lag behind what was received."""
_THREADS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="image-hash")


@dataclass(frozen=True, slots=True)
class Received:
    size_bytes: int
    md5: str
    sha512: str
    inspection: Inspection

    @property
    def columns(self) -> dict[str, Any]:
        """What an image's record says of its data."""
        return {
            "size_bytes": self.size_bytes,
            "virtual_size_bytes": self.inspection.virtual_size,
            "checksum": self.md5,
            "os_hash_algo": "sha512",
            "os_hash_value": self.sha512,
        }


class TooBig(Exception):
    """More bytes came than may."""


class Refused(Exception):
    """What came is not what it is said to be, or not safe; the message is for the user."""


def check_format(disk_format: str, container_format: str, found: Inspection, *, exactly: bool = True) -> None:
    """What an image is said to be is not believed: its bytes tell. Raises Refused; where not `exactly`, only for what
    could harm a host."""
    wanted = stored_format(disk_format, container_format)
    if wanted is None:
        return
    if exactly and not is_stored_as(found, wanted):
        said = "a root filesystem in an archive (container format docker)" if wanted == "rootfs" else wanted
        raise Refused(
            f"Image content does not match its disk_format: it is said to be {said}, and is {found.format}."
        )
    if not found.safe and (exactly or found.complete):
        reasons = "; ".join(found.unsafe_reasons) or "its headers are cut short"
        raise Refused(f"The image is refused: {reasons}.")


class Worker:
    """Feeds chunks in order to a function in a thread, a few ahead."""

    def __init__(self, take: Callable[[bytes], Any]) -> None:
        self._take = take
        self._last: asyncio.Future[Any] | None = None
        self._slots = asyncio.Semaphore(AHEAD)

    async def feed(self, chunk: bytes) -> None:
        if self._last is None and len(chunk) < SMALL:
            self._take(chunk)
            return
        await self._slots.acquire()
        before = self._last
        self._last = asyncio.ensure_future(self._run(before, chunk))

    async def _run(self, before: asyncio.Future[Any] | None, chunk: bytes) -> None:
        try:
            if before is not None:
                await before
            await asyncio.get_running_loop().run_in_executor(_THREADS, self._take, chunk)
        finally:
            self._slots.release()

    async def finish(self) -> None:
        if self._last is not None:
            await self._last


async def receive(
    stream: AsyncIterator[bytes], writer: Writer, max_bytes: int, *, hashes: bool = True
) -> Received:
    """Reads the stream to its end. Raises TooBig, StoreError, or what the stream raises. Without `hashes` there are
    none in what it returns."""
    md5, sha512, inspector = hashlib.md5(usedforsecurity=False), hashlib.sha512(), Inspector()
    workers = [Worker(md5.update), Worker(sha512.update)] if hashes else []
    size = 0
    try:
        async for chunk in gathered(stream):
            size += len(chunk)
            if size > max_bytes:
                raise TooBig
            inspector.feed(chunk)
            for worker in workers:
                await worker.feed(chunk)
            await writer.write(chunk)
    finally:
        await asyncio.gather(*(worker.finish() for worker in workers), return_exceptions=True)
    inspection = inspector.finish()
    return Received(size, md5.hexdigest() if hashes else "", sha512.hexdigest() if hashes else "", inspection)
