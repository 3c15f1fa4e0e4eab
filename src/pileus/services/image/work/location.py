"""Data that stays elsewhere: it is read once, to know what it is."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import structlog
from sqlalchemy import Row

from pileus.kernel.db import Database, Tx
from pileus.kernel.work import Program, Step, Strand, label
from pileus.lib.image_format import Inspector
from pileus.services.image import store, task_store
from pileus.services.image.domain import Status, TaskStatus
from pileus.services.image.driver import StoreError
from pileus.services.image.jobs import Job
from pileus.services.image.state import ImageState
from pileus.services.image.upload import Refused, check_format

log = structlog.get_logger("pileus.image")


class Known(msgspec.Struct, frozen=True):
    """What the data at a location is."""

    size_bytes: int | None
    checksum: str | None
    os_hash_value: str | None
    virtual_size_bytes: int | None = None


class LocationProgram(Program):
    name = "image.location"
    after_fault = "keep"

    def __init__(self, db: Database, state: ImageState) -> None:
        self.db = db
        self.state = state

    @label()
    async def start(self, strand: Strand) -> Step:
        values = {"status": TaskStatus.PROCESSING}
        return strand.hop(self.look, lambda tx: task_store.change(tx, strand.id, values))

    @label()
    async def look(self, strand: Strand) -> Step:
        """Reads the data, and holds it to what the user said of it."""
        task = await self.db.read(task_store.get, strand.id)
        image = None if task is None else await self.db.read(store.living, task.image_id)
        if task is None or image is None:
            return strand.nap(None)  # its end has been asked for
        job = self.state.jobs.ensure(f"{strand.id} look", lambda job: self._look(job, task, image))
        if not job.ended:
            return strand.nap(0.05 if job.bytes_done < 1 << 20 else 0.5)
        try:
            known: Known = job.result()
        except Refused as error:
            message = str(error)
            return strand.hop(self.keep, lambda tx: _refused(tx, task, message))
        except (StoreError, TimeoutError) as error:
            message = str(error) or "It took longer than a day."
            return strand.hop(self.keep, lambda tx: _unread(tx, task, message))
        except Exception as error:
            log.exception("location can't be read")
            message = f"The cloud made a mistake ({type(error).__name__}); its log has more."
            return strand.hop(self.keep, lambda tx: _unread(tx, task, message))
        return strand.hop(self.keep, lambda tx: _learned(tx, task, known))

    async def _look(self, job: Job, task: Row[Any], image: Row[Any]) -> Known:
        location = image.locations[-1]
        if not self.state.settings.secure_hash:
            size = await self.state.shelves.store(location["store"]).size_bytes(location["url"])
            return Known(size, None, (task.input["validation_data"] or {}).get("os_hash_value"))
        md5, digest = hashlib.md5(usedforsecurity=False), hashlib.new(task.progress["os_hash_algo"])
        inspector, limit = Inspector(), self.state.settings.max_size_gib << 30
        async for chunk in self.state.shelves.read(image.id, location):
            job.bytes_done += len(chunk)
            if job.bytes_done > limit:
                raise Refused(f"An image may have at most {self.state.settings.max_size_gib} GiB.")
            md5.update(chunk)
            digest.update(chunk)
            inspector.feed(chunk)
        found = inspector.finish()
        if image.disk_format is not None and image.container_format is not None:
            check_format(image.disk_format, image.container_format, found, exactly=False)
        wanted = (task.input["validation_data"] or {}).get("os_hash_value")
        if wanted is not None and wanted.lower() != digest.hexdigest():
            raise StoreError(f"The data at {location['url']} has another hash than os_hash_value.")
        return Known(job.bytes_done, md5.hexdigest(), digest.hexdigest(), found.virtual_size)

    @label()
    async def keep(self, strand: Strand) -> Step:
        """The task stays to be looked at for a while."""
        await self.state.jobs.stop(f"{strand.id} ")
        task = await self.db.read(task_store.get, strand.id)
        if task is None:
            return strand.done()
        left = (task.expires_at - strand.now).total_seconds()
        return strand.nap(left) if left > 0 else strand.done(lambda tx: task_store.delete(tx, task.id))

    @label(destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        """The image is being deleted: nothing more is read."""
        await self.state.jobs.stop(f"{strand.id} ")
        return strand.done(
            lambda tx: task_store.end(tx, strand.id, TaskStatus.FAILURE, "The image was deleted.")
        )


_UNKNOWN = {"checksum": None, "os_hash_algo": None, "os_hash_value": None, "size_bytes": None}


def _learned(tx: Tx, task: Row[Any], known: Known) -> None:
    task_store.end(tx, task.id, TaskStatus.SUCCESS, result={"image_id": task.image_id})
    if store.living(tx, task.image_id) is None:
        return
    algorithm = None if known.os_hash_value is None else task.progress["os_hash_algo"]
    values = {**msgspec.structs.asdict(known), "os_hash_algo": algorithm, "status": Status.ACTIVE}
    store.change(tx, task.image_id, values)


def _refused(tx: Tx, task: Row[Any], message: str) -> None:
    """The data could harm a host: the image never had it."""
    task_store.end(tx, task.id, TaskStatus.FAILURE, message)
    if store.living(tx, task.image_id) is not None:
        store.change(tx, task.image_id, {**_UNKNOWN, "status": Status.QUEUED, "locations": [], "copies": 0})


def _unread(tx: Tx, task: Row[Any], message: str) -> None:
    """The data could not be read, or is not what was said. The location stays, as the user's word; who said what the
    data is gets no image that is anything else."""
    task_store.end(tx, task.id, TaskStatus.FAILURE, message)
    if store.living(tx, task.image_id) is not None:
        promised = bool(task.input["validation_data"])
        status = {"status": Status.QUEUED} if promised else {}
        store.change(tx, task.image_id, {**_UNKNOWN, **status})
