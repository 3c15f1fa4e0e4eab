"""The life of an image: uploads that break off are given up, stores hold what the record says and nothing else."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from pileus.kernel.db import Database, Tx
from pileus.kernel.work import Fault, Program, Step, Strand, label
from pileus.services.image import store, task_store
from pileus.services.image.domain import Status, has_data
from pileus.services.image.state import ImageState

TASK_SECONDS = 0.2
"""How often is looked whether a deleted image's task has let go of it."""


class ImageProgram(Program):
    name = "image.image"

    def __init__(self, db: Database, state: ImageState) -> None:
        self.db = db
        self.shelves = state.shelves
        self.stage = state.stage

    @label()
    async def start(self, strand: Strand) -> Step:
        return await self.steady(strand)

    @label()
    async def steady(self, strand: Strand) -> Step:
        """Waits while there is nothing to do. An upload that was not heard of in time is given up."""
        image: Row[Any] | None = await self.db.read(store.get, strand.id)
        if image is None:
            return strand.done()
        if image.upload_id is not None:
            left = (image.upload_until - strand.now).total_seconds()
            if left > 0:
                return strand.nap(left)
            await self._remove(image.id)
            return strand.nap(None, lambda tx: self._give_up(tx, image))
        if image.task_id is not None or image.status == Status.DELETED:
            return strand.nap(None)  # its task, or its end, sees to it
        await self._keep_only(image)
        return strand.nap(None)

    async def _keep_only(self, image: Row[Any]) -> None:
        """Removes what no location names. Raises Fault where what is named is not there."""
        owned = {each["store"] for each in image.locations if self.shelves.owned(each)}
        for name in self.shelves.writable:
            there = await self.shelves.store(name).size_bytes(image.id)
            if name not in owned:
                if there is not None:
                    await self.shelves.store(name).remove(image.id)
            elif has_data(image.status) and there != image.size_bytes:
                raise Fault(f"The data of image {image.id} is missing or cut short in store {name}.")

    async def _remove(self, image_id: str) -> None:
        await self.shelves.remove(image_id)
        await self.stage.remove(image_id)

    @staticmethod
    def _give_up(tx: Tx, image: Row[Any]) -> None:
        store.end_upload(
            tx, image.id, image.upload_id, {"status": Status.QUEUED, "locations": [], "copies": 0}
        )

    @label(destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        """First those let go who might still write; then nothing is left."""
        image, tasks = await self.db.read(_writers, strand.id)
        if image is not None and image.upload_id is not None:
            left = (image.upload_until - strand.now).total_seconds()
            if left > 0:
                return strand.nap(left)
        if tasks:
            return strand.nap(TASK_SECONDS)
        await self._remove(strand.id)
        return strand.done(lambda tx: store.delete(tx, strand.id))


def _writers(tx: Tx, image_id: str) -> tuple[Row[Any] | None, bool]:
    return store.get(tx, image_id), bool(task_store.unended(tx, image_id))
