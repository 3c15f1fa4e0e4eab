"""A node's own copy of an image: made when asked for, gone when the image or the wish is."""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy import Row

from pileus.kernel.db import Database, Tx
from pileus.kernel.ids import new_uuid
from pileus.kernel.work import Program, Step, Strand, label
from pileus.services.image import cache_store, store
from pileus.services.image.domain import has_data
from pileus.services.image.driver import StoreError
from pileus.services.image.jobs import Job
from pileus.services.image.state import ImageState
from pileus.services.image.upload import receive
from pileus.services.image.work.gather import counted

log = structlog.get_logger("pileus.image")
ELSEWHERE_SECONDS = 1.0
"""Between two looks whether the entry's own node has come for it."""


class CacheProgram(Program):
    name = "image.cache"

    def __init__(self, db: Database, state: ImageState) -> None:
        self.db = db
        self.state = state

    @label()
    async def start(self, strand: Strand) -> Step:
        entry, image = await self.db.read(_entry_and_image, strand.id)
        if entry is None:
            return strand.done()
        if entry.node != self.state.node:
            return strand.nap(ELSEWHERE_SECONDS)
        if image is None or not has_data(image.status):
            return strand.done(lambda tx: cache_store.delete(tx, entry.id))
        job = self.state.jobs.ensure(f"{strand.id} copy", lambda job: self._copy(job, entry.id, image))
        if not job.ended:
            return strand.nap(0.05 if job.bytes_done < 1 << 24 else 0.5)
        try:
            size_bytes: int = job.result()
        except StoreError as error:
            log.warning("image can't be cached", image_id=image.id, reason=str(error))
            return strand.hop(self.steady, lambda tx: cache_store.delete(tx, entry.id))
        return strand.hop(
            self.steady, lambda tx: cache_store.change(tx, entry.id, {"size_bytes": size_bytes})
        )

    async def _copy(self, job: Job, entry_id: str, image: Row[Any]) -> int:
        shelves = self.state.shelves
        writer = await self.state.cache.writer(entry_id, new_uuid())
        try:
            source = shelves.read(image.id, shelves.ranked(image.locations)[0])
            received = await receive(counted(job, source), writer, 2**63)
            if image.os_hash_algo == "sha512" and received.sha512 != image.os_hash_value:
                raise StoreError("its data is not what it was.")
            await writer.finish()
        except BaseException:
            await writer.abort()
            raise
        return received.size_bytes

    @label()
    async def steady(self, strand: Strand) -> Step:
        await self.state.jobs.stop(f"{strand.id} ")
        entry = await self.db.read(cache_store.get, strand.id)
        if entry is None:  # it could not be copied
            await self.state.cache.remove(strand.id)
            return strand.done()
        return strand.nap(None)

    @label(destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        """The row went when it was asked for."""
        await self.state.jobs.stop(f"{strand.id} ")
        await self.state.cache.remove(strand.id)
        return strand.done()


def _entry_and_image(tx: Tx, entry_id: str) -> tuple[Row[Any] | None, Row[Any] | None]:
    entry = cache_store.get(tx, entry_id)
    return entry, None if entry is None else store.living(tx, entry.image_id)
