"""Waiting for devices, by a clock that a test may own."""

from __future__ import annotations

import asyncio
from typing import Any

from pileus.kernel.clock import Clock


async def within(clock: Clock, seconds: float, *futures: asyncio.Future[Any]) -> bool:
    """Whether all are done after so many seconds; returns as soon as they are. None of them is cancelled."""
    left = [each for each in futures if not each.done()]
    if not left:
        return True
    event = asyncio.Event()

    def one_is_done(_: asyncio.Future[Any]) -> None:
        if all(each.done() for each in left):
            event.set()

    for each in left:
        each.add_done_callback(one_is_done)
    return await clock.wait(event, seconds)
