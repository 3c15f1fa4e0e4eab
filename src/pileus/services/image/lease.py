"""Bytes on their way in own their image for as long as somebody is heard to bring them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.db import Tx
from pileus.kernel.errors import ApiError, Conflict, Gone
from pileus.kernel.ids import new_uuid
from pileus.services.image import limits, store
from pileus.services.image.domain import Status


class Lease:
    """Of one upload."""

    def __init__(self, image: Row[Any], upload_id: str, room: int | None) -> None:
        self.image = image
        self.id = upload_id
        self.room = room
        """Bytes that the project may still store; None for any number."""
        self.lost = False
        self.left_behind = False
        """Whether something of a failed upload could not be taken away."""

    async def heard(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The stream, for as long as the image waits for it."""
        async for chunk in stream:
            if self.lost:
                raise Gone(f"Image {self.image.id} was deleted while its data came in.")
            yield chunk


@asynccontextmanager
async def held(
    call: Call, image: Row[Any], status: Status, states: Sequence[Status], size_limit: str
) -> AsyncIterator[Lease]:
    """Takes an image for an upload; where the block is left by an exception, it is as if nothing had come: at once, or
    where the store could not take away what had, once the image's strand has got it to.

    Raises Conflict where the image is in none of `states`; TooLarge where the project is over its limits.
    """
    upload_id = new_uuid()
    await limits.look_up(call, image.project_id)
    taken, room = await call.runtime.db.write(_begin, call, image, upload_id, status, states, size_limit)
    if not taken:
        raise Conflict(
            f"Image status transition from {image.status} to {status} is not allowed: "
            "it has data, or gets some now."
        )
    lease = Lease(image, upload_id, room)
    renewing = asyncio.create_task(_renew_forever(call, lease))
    try:
        yield lease
    except BaseException:
        if not lease.left_behind:
            with suppress(ApiError):
                await asyncio.shield(call.runtime.db.write(_give_up, call, image.id, upload_id))
        raise
    finally:
        renewing.cancel()


def _begin(
    tx: Tx,
    call: Call,
    image: Row[Any],
    upload_id: str,
    status: Status,
    states: Sequence[Status],
    size_limit: str,
) -> tuple[bool, int | None]:
    announced = call.header("content-length") or ""
    wanted = {size_limit: int(announced) if announced.isdecimal() and len(announced) < 19 else 0}
    limits.require(call, tx, image.project_id, image_count_uploading=1, **wanted)
    room = limits.room(call, tx, image.project_id, size_limit)
    call.runtime.work.wake(
        tx, image.id
    )  # who watches for the case that this process dies, from the first moment on
    return store.begin_upload(tx, image.id, upload_id, tx.now + _term(call), status, states), room


def _term(call: Call) -> timedelta:
    """An upload that is not heard of for so long is taken for broken off."""
    seconds: float = call.runtime.state.settings.upload_lease_seconds
    return timedelta(seconds=seconds)


def _give_up(tx: Tx, call: Call, image_id: str, upload_id: str) -> None:
    store.end_upload(tx, image_id, upload_id, {"status": Status.QUEUED})
    leave(tx, call, image_id, upload_id)


def leave(tx: Tx, call: Call, image_id: str, upload_id: str) -> None:
    """The image's strand need not wait for the upload any more."""
    store.leave_upload(tx, image_id, upload_id)
    call.runtime.work.wake(tx, image_id)


async def _renew_forever(call: Call, lease: Lease) -> None:
    """Keeps the lease while this process lives."""
    while not lease.lost:
        await call.runtime.clock.sleep(_term(call).total_seconds() / 3)
        lease.lost = not await call.runtime.db.write(_renew, call, lease.image.id, lease.id)


def _renew(tx: Tx, call: Call, image_id: str, upload_id: str) -> bool:
    return store.renew_upload(tx, image_id, upload_id, tx.now + _term(call))
