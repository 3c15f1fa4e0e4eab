"""Writes with conditions: of several of one object, one after the other looks at what is there and changes it.

Whichever process they come to: the object's own devices say whose turn it is (`ObjectDevice.claim`). Who dies in its turn
has had it after `TURN_SECONDS`; what it sent and is still on its way can undo nothing that came after it.
"""

from __future__ import annotations

import asyncio
import math
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from pileus.kernel.errors import Conflict, Unavailable
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, Superseded
from pileus.services.object_store.name import Name
from pileus.services.object_store.receive import InsufficientStorage
from pileus.services.object_store.state import ObjectStoreState

TURN_SECONDS = 15.0
PATIENCE_SECONDS = 20.0
SOON_SECONDS, LATE_SECONDS = 0.01, 0.2
"""Another process's turn is waited for by asking again: so soon at first, and so late at last."""
Check = Callable[[], Awaitable[None]]


@asynccontextmanager
async def turn(
    state: ObjectStoreState,
    name: Name,
    moment: Timestamp,
    check: Check | None = None,
    *,
    is_needed: bool = True,
) -> AsyncIterator[None]:
    """Nobody else has one of the object meanwhile. `moment` is that of the write, `check` looks whether it is to be done.

    409 where none comes, or where it can't be said afterwards that it was this one's all the while: then nobody knows whose
    the object is. 503 where too few devices answer; one that is not needed is done without them.
    """
    async with state.turns.setdefault(name, asyncio.Lock()):
        device, key = await state.device_of(name), state.key(name)
        try:
            holder, until = await _claim(state, name, moment)
        except Unavailable:
            if is_needed:
                raise
            holder, until = b"", math.inf
        try:
            if check is not None:
                await check()
                there = await device.find(key)
                if there is not None and there.timestamp >= moment:
                    raise _conflict()  # by another's clock: devices that have not heard of it would take this one
            if state.clock.monotonic() > until:
                raise _conflict()  # what was seen may be over
            yield
        except (Unavailable, InsufficientStorage):
            raise  # what a disk was sent and did not answer may be done yet: the turn ends by itself
        except Exception:
            await device.release(key, holder)
            raise
        if not await device.release(key, holder) and is_needed:
            raise _conflict()


async def _claim(state: ObjectStoreState, name: Name, moment: Timestamp) -> tuple[bytes, float]:
    """Who holds the turn, and until when."""
    device, key = await state.device_of(name), state.key(name)
    pause, patient_until = SOON_SECONDS, state.clock.monotonic() + PATIENCE_SECONDS
    try:
        while True:
            # Another each time: the release of what was not enough may come late, and must not end what was.
            holder, now = secrets.token_bytes(16), state.clock.monotonic()
            if await device.claim(key, holder, moment, TURN_SECONDS):
                return holder, now + TURN_SECONDS
            if now > patient_until:
                raise _conflict()
            await state.clock.sleep(random.uniform(pause / 2, pause))
            pause = min(2 * pause, LATE_SECONDS)
    except Superseded:
        raise _conflict() from None
    except DeviceError as error:
        raise Unavailable(str(error)) from error


def _conflict() -> Conflict:
    return Conflict(
        "Another request writes the object at the same time: look at it, and try again.",
        kind="ConditionalRequestConflict",
    )


async def followed(data: AsyncIterator[bytes], by: Check) -> AsyncIterator[bytes]:
    """The bytes; before their end is told, something is done."""
    async for chunk in data:
        yield chunk
    await by()


@asynccontextmanager
async def at_the_end(
    state: ObjectStoreState, name: Name, moment: Timestamp, data: AsyncIterator[bytes], check: Check
) -> AsyncIterator[AsyncIterator[bytes]]:
    """The bytes, for a write that `check` lets through: before their end is told, it is this write's turn, and stays so."""
    async with AsyncExitStack() as stack:

        async def take_turn() -> None:
            await stack.enter_async_context(turn(state, name, moment, check))

        yield followed(data, take_turn)
