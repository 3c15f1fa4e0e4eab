"""Who may write next of those whose writes have conditions, as one device promises it: in memory, each for a while."""

from __future__ import annotations

from typing import NamedTuple

from pileus.kernel.clock import Clock, SystemClock
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import Superseded

FORGET_SECONDS = 300.0
"""For so long it is remembered who has claimed a name and was not heard of again: what they wrote may still be on its way."""


class _Claim(NamedTuple):
    holder: bytes
    timestamp: Timestamp
    until: float


class Claims:
    """Lost with the process, and with them what they were worth: whoever releases one then hears so."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._held: dict[bytes, _Claim] = {}
        """By key, the oldest first."""

    def claim(self, key: bytes, holder: bytes, timestamp: Timestamp, seconds: float) -> bool:
        """As `ObjectDevice.claim`."""
        now = self._clock.monotonic()
        self._forget(now - FORGET_SECONDS)
        held = self._held.get(key)
        if held is not None and held.holder != holder:
            if now < held.until:
                return False
            if timestamp <= held.timestamp:
                raise Superseded(held.timestamp, deleted=False)
        self._held.pop(key, None)
        self._held[key] = _Claim(holder, timestamp, now + seconds)
        return True

    def release(self, key: bytes, holder: bytes) -> bool:
        """As `ObjectDevice.release`."""
        held = self._held.get(key)
        if held is None or held.holder != holder:
            return False
        del self._held[key]
        return True

    def _forget(self, before: float) -> None:
        while self._held and (oldest := next(iter(self._held.items())))[1].until < before:
            del self._held[oldest[0]]
