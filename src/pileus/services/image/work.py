"""The life of an image: uploads that break off are given up, what is deleted leaves no bytes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from pileus.kernel.db import Database, Tx
from pileus.kernel.work import Fault, Program, Step, Strand, label
from pileus.services.image import store
from pileus.services.image.domain import Status, has_data
from pileus.services.image.driver import Store


class ImageProgram(Program):
    name = "image.image"

    def __init__(self, db: Database, files: Store) -> None:
        self.db = db
        self.files = files

    @label()
    async def start(self, strand: Strand) -> Step:
        return await self.steady(strand)

    @label()
    async def steady(self, strand: Strand) -> Step:
        """Waits while there is nothing to do. An upload that was not heard of in time is given up."""
        image: Row[Any] | None = await self.db.read(store.get, strand.id)
        if image is None:
            return strand.done()
        if image.status == Status.SAVING:
            left = (image.upload_until - strand.now).total_seconds()
            if left > 0:
                return strand.nap(left)
            await self.files.remove(image.id)
            return strand.nap(None, lambda tx: self._give_up(tx, image))
        if has_data(image.status) and await self.files.size_bytes(image.id) != image.size_bytes:
            raise Fault(f"The data of image {image.id} is missing or cut short in store {self.files.name}.")
        return strand.nap(None)

    @staticmethod
    def _give_up(tx: Tx, image: Row[Any]) -> None:
        store.end_upload(tx, image.id, image.upload_id, {"status": Status.QUEUED})

    @label(destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        await self.files.remove(strand.id)
        return strand.done(lambda tx: store.delete(tx, strand.id))
