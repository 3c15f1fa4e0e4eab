"""How often an account's containers and a container's objects may be written (Swift's documentation, "Rate limiting").

Each process counts for itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from pileus.kernel.clock import Clock

REMEMBERED = 10_000
BUFFER_SECONDS = 5.0
"""Who was slow for so long may be fast for so long."""


class TooFast(Exception):
    """It would have to wait for longer than anybody does."""


class RateLimits:
    """`containers` is the rate by the number of objects from which on it holds; in between it changes evenly."""

    def __init__(
        self, clock: Clock, account_rate: float, containers: Mapping[str, float], max_sleep_seconds: float
    ) -> None:
        self._clock = clock
        self._account_rate = account_rate
        self._containers = sorted((int(size), rate) for size, rate in containers.items())
        self._max_sleep_seconds = max_sleep_seconds
        self._next: OrderedDict[tuple[str, str], float] = OrderedDict()

    @property
    def of_containers(self) -> bool:
        return bool(self._containers)

    @property
    def any(self) -> bool:
        return bool(self._containers or self._account_rate)

    def container_rate(self, objects: int) -> float:
        """Writes a second to a container of that size; 0 for as many as come."""
        below: tuple[int, float] | None = None
        for size, rate in self._containers:
            if objects < size:
                if below is None:
                    return 0.0
                part = (objects - below[0]) / (size - below[0])
                return below[1] + (rate - below[1]) * part
            below = (size, rate)
        return 0.0 if below is None else below[1]

    async def account(self, account: str) -> None:
        """Before a container is made or deleted. Waits, or raises TooFast."""
        await self._wait((account, ""), self._account_rate)

    async def container(self, account: str, container: str, objects: int) -> None:
        """Before an object is written."""
        await self._wait((account, container), self.container_rate(objects))

    async def _wait(self, key: tuple[str, str], rate: float) -> None:
        if rate <= 0:
            return
        now = self._clock.monotonic()
        due = max(self._next.get(key, now), now - BUFFER_SECONDS)
        if due - now > self._max_sleep_seconds:
            raise TooFast
        self._next[key] = due + 1 / rate
        self._next.move_to_end(key)
        if len(self._next) > REMEMBERED:
            self._next.popitem(last=False)
        if due > now:
            await self._clock.sleep(due - now)
