"""Moments in which the event loop has nothing else to do: then what has gathered goes on its way together.

As long as requests are worked on more of them may come to the same point, and one sync, one system call, and one thread
awoken serve them all. Where nothing else is to do nobody waits: then a lull is there at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from weakref import WeakKeyDictionary

QUIET_SECONDS = 30e-6
"""A turn of the loop that took less did nothing but look for work."""
LONGEST_SECONDS = 2e-3
"""Nothing waits longer, however busy the loop is, but for the end of one of its turns."""


class Lull:
    """Of one event loop, on whose thread it is used; see `lull`."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []
        self._began = self._looked = 0.0

    def then(self, call: Callable[[], None]) -> None:
        """Calls it once, soon. What it raises is told to the loop."""
        if not self._waiting:
            self._began = perf_counter()
            self._looked = 0.0
            asyncio.get_running_loop().call_soon(self._look)
        self._waiting.append(call)

    def _look(self) -> None:
        now = perf_counter()
        if now - self._looked > QUIET_SECONDS and now - self._began < LONGEST_SECONDS:
            asyncio.get_running_loop().call_soon(self._look)
            self._looked = perf_counter()
            return
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            try:
                call()
            except Exception as error:
                message = "what waited for a lull failed"
                asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})


_lulls: WeakKeyDictionary[asyncio.AbstractEventLoop, Lull] = WeakKeyDictionary()


def lull() -> Lull:
    """That of the running loop."""
    loop = asyncio.get_running_loop()
    found = _lulls.get(loop)
    if found is None:
        found = _lulls[loop] = Lull()
    return found
