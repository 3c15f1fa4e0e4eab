"""Answers that are there at once, in the shape of those that are not; a task for each would cost more than the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def done(value: R) -> asyncio.Future[R]:
    future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future


def failed(error: Exception) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future


async def slowly(read: Callable[[], T], then: Callable[[T], R]) -> R:
    """What a thread has to read."""
    return then(await asyncio.to_thread(read))


async def chunks_of(data: bytes) -> AsyncIterator[bytes]:
    """A body that need not be read."""
    yield data
