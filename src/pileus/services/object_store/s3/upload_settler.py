"""Uploads whose end broke off: parts that nothing has any more go.

What is to be done is read from what is there, not from what was begun, so it may be done twice, and by several at once.
"""

from __future__ import annotations

import structlog

from pileus.kernel.errors import Unavailable
from pileus.services.object_store import unsettled
from pileus.services.object_store.daemons import Walk
from pileus.services.object_store.driver import DeviceError
from pileus.services.object_store.following import moment_of
from pileus.services.object_store.name import Name
from pileus.services.object_store.rows import rows
from pileus.services.object_store.s3 import leavings, registry, storing, uploads
from pileus.services.object_store.s3.leavings import Note
from pileus.services.object_store.s3.request import Request
from pileus.services.object_store.state import ObjectStoreState

log = structlog.get_logger("pileus.object_store")
GRACE_SECONDS = 60.0
"""For so long whoever left a note is at it, and parts that were on their way to an upload that ended may come."""


class UploadSettler:
    name = "upload-settler"
    every_seconds = 30.0
    per_second = 100.0

    def __init__(self, state: ObjectStoreState) -> None:
        self._state = state

    async def walk(self, walk: Walk) -> None:
        state = self._state
        failed: set[tuple[Name, str]] = set()
        """Uploads of which a note stays: the later ones are what it will need to know."""
        async for row in rows(state.listings, leavings.ACCOUNT, leavings.CONTAINER):
            if state.now().seconds - moment_of(row).seconds < GRACE_SECONDS:
                continue
            note = leavings.read(row["name"])
            upload = note.name, note.upload_id
            if upload in failed or await unsettled.waits(state.listings, note.name):
                walk.count(waiting=1)
                continue
            try:
                removed = await settle(state, note)
                await leavings.drop(state, note)
            except (DeviceError, Unavailable) as error:
                log.warning("parts of an upload can't be removed", path=note.name.path, cause=str(error))
                walk.count(failed=1)
                failed.add(upload)
            else:
                walk.count(settled=1, parts=removed)
            await walk.step("")


async def settle(state: ObjectStoreState, note: Note) -> int:
    """How many parts went."""
    info = await state.container(note.name.account, note.name.container)
    request = Request.inside(state, note.name, info)
    left: list[Name] = []
    if note.upload_id:
        # In this order: an object is there before its upload ends.
        is_open = await state.find(uploads.place_of(request, note.upload_id)) is not None
        used = await leavings.all_parts_used(state, note)
        if is_open:
            if used is None:
                return 0  # it has not ended
            await uploads.end(request, note.upload_id)
        there = await uploads.parts(request, note.upload_id)
        names = [uploads.part_name(request, note.upload_id, number) for number in there]
        left = [each for each in names if each not in (used or ())]
        await storing.remove_all(request, left)
        if info is None:
            await uploads.remove_places(request)
    elif info is None:
        await uploads.drop(request)
        await registry.release(state, request.bucket, request.account)
    return len(left)
