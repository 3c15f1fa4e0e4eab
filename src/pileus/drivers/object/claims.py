"""Who may write next of those whose writes have conditions, as one device promises it: in memory, each for a while."""

from __future__ import annotations

from typing import NamedTuple

from pileus.kernel.clock import Clock, SystemClock
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, Superseded

FORGET_SECONDS = 3600.0
"""For so long it is remembered who has claimed a name and was not heard of again: what they wrote may still be on its way."""
APART_SECONDS = 15.0
"""So far the clock of who claims may be ahead of a shared device's."""


class _Claim(NamedTuple):
    holder: bytes
    timestamp: Timestamp
    until: float


class Claims:
    """Lost with the process, and with them what they were worth: whoever releases one then hears so.

    What is forgotten still counts: whoever had it may write yet. So nobody gets a claim for a write that is as early as
    one that was forgotten.
    """

    def __init__(self, clock: Clock | None = None, *, is_shared: bool = False) -> None:
        """`is_shared`: other processes claim as well, and outlive this one."""
        self._clock = clock or SystemClock()
        self._is_shared = is_shared
        self._forgotten = Timestamp(0)
        """As late as any claim that is not remembered any more."""
        self._held: dict[bytes, _Claim] = {}
        """By key, the oldest first."""

    def outlive(self) -> None:
        """There was a life before this one, whose claims are forgotten."""
        self._forgotten = self._latest()

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
        elif held is None and timestamp <= self._forgotten:
            raise DeviceError(
                "who had claims until then is not known any more: a write that has begun later may have its turn"
            )
        if self._is_shared and timestamp > self._latest():
            raise DeviceError(
                f"the clock of who writes is more than {APART_SECONDS:g} s ahead of the device's: set both by NTP"
            )
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
            self._forgotten = max(self._forgotten, oldest[1].timestamp)

    def _latest(self) -> Timestamp:
        """Of a claim that is granted now."""
        return Timestamp.at(self._clock.now().timestamp() + APART_SECONDS)
