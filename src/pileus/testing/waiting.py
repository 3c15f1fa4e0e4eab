"""Waiting for a condition, under a deadline."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def until(condition: Callable[[], Awaitable[T | None]], seconds: float = ...) -> T: ...
@overload
async def until(condition: Callable[[], T | None], seconds: float = ...) -> T: ...
async def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The condition's first true value; raises TimeoutError where there is none in time."""
    async with asyncio.timeout(seconds):
        while True:
            value = condition()
            if inspect.isawaitable(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.005)
