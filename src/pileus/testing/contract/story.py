"""Tests told as coroutines, for suites that drivers of others run too: they need nothing of pytest's but fixtures."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar


class Cleaned(Protocol):
    async def clean(self) -> None:
        """Takes away all that a test has left."""


R = TypeVar("R", bound=Cleaned)


def story(body: Callable[[Any, R], Coroutine[Any, Any, None]]) -> Callable[[Any, R], None]:
    """A method that takes a `rig`; all that it leaves is taken away, also where it fails."""

    @functools.wraps(body)
    def test(self: Any, rig: R) -> None:
        async def play() -> None:
            try:
                await body(self, rig)
            finally:
                await rig.clean()

        asyncio.run(play())

    return test
