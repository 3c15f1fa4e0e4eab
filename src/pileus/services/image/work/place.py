"""Bytes on their way from the stage, or from where the image is already, to a store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from sqlalchemy import Row

from pileus.kernel.ids import new_uuid
from pileus.services.image.driver import StoreError, Writer
from pileus.services.image.jobs import Job
from pileus.services.image.state import ImageState
from pileus.services.image.upload import Received, Refused, TooBig, check_format, receive
from pileus.services.image.work.gather import GIB, counted
from pileus.services.image.work.shape import shaped


class Placing:
    """Of one task and one store; `run` is its job. Hashes what it writes, and looks at what it is."""

    def __init__(self, state: ImageState, task: Row[Any], image: Row[Any], store_name: str) -> None:
        self._state = state
        self._task = task
        self._image = image
        self._name = store_name

    async def run(self, job: Job) -> Received:
        image, settings = self._image, self._state.settings
        target = self._state.shelves.store(self._name)
        if all(each["store"] != self._name for each in image.locations):
            await target.remove(image.id)  # what an earlier attempt left that was killed
        writer = await target.writer(image.id, new_uuid())
        try:
            limit = settings.max_size_gib * GIB
            received = await receive(counted(job, self._source()), writer, limit)
            exactly = settings.require_format_match
            check_format(image.disk_format, image.container_format, received.inspection, exactly=exactly)
            if image.os_hash_algo == "sha512" and received.sha512 != image.os_hash_value:
                raise StoreError("What was read differs from what the image is known to be.")
            await writer.finish()
        except TooBig as error:
            await self._abort(writer)
            raise Refused(f"An image may have at most {settings.max_size_gib} GiB.") from error
        except BaseException:
            await self._abort(writer)
            raise
        return received

    @staticmethod
    async def _abort(writer: Writer) -> None:
        with suppress(StoreError):  # the task's end clears up, as often as it takes
            await writer.abort()

    def _source(self) -> AsyncIterator[bytes]:
        state, image_id = self._state, self._image.id
        if self._task.input["import_req"]["method"]["name"] == "copy-image":
            return state.shelves.read(image_id, state.shelves.ranked(self._image.locations)[0])
        return state.stage.read(shaped(image_id) if self._task.progress.get("shaped") else image_id)
