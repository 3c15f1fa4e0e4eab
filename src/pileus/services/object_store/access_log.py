"""Lines of access logs that are not delivered yet, in memory: bounded, and lost with the process.

What they look like, and where they go, `s3/log_records.py` and `s3/log_delivery.py` know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

MAX_BYTES = 32 * 1024 * 1024
"""Of all that waits. Lines beyond are dropped: what is logged must not fill the memory while a disk is away."""
LARGE_BYTES = 1024 * 1024
"""So much of one lot is delivered at once, not only when its time has come."""


class Lot(NamedTuple):
    """What may stand in one object together."""

    account: str
    bucket: str
    """That was asked for something."""
    setting: str
    """Of the bucket, when it was: where its log goes."""
    day: str
    """`2026-01-31` where what stands in one object must be of one day, else empty."""


class AccessLog:
    def __init__(self) -> None:
        self._lots: dict[Lot, list[bytes]] = {}
        self._sizes: dict[Lot, int] = {}
        self.size_bytes = 0
        self.dropped = 0
        """Lines for which there was no room, so far."""
        self.when_large: Callable[[], object] = lambda: None
        """Called when there is a large lot."""

    def add(self, lot: Lot, *lines: bytes) -> None:
        size = sum(len(line) for line in lines)
        if self.size_bytes + size > MAX_BYTES:
            self.dropped += len(lines)
            return
        self._lots.setdefault(lot, []).extend(lines)
        self.size_bytes += size
        before = self._sizes.get(lot, 0)
        self._sizes[lot] = before + size
        if before < LARGE_BYTES <= before + size:
            self.when_large()

    def lots(self) -> list[Lot]:
        return list(self._lots)

    def take(self, lot: Lot) -> list[bytes]:
        """Its lines, which are the taker's to deliver, or to add again."""
        self.size_bytes -= self._sizes.pop(lot, 0)
        return self._lots.pop(lot, [])
