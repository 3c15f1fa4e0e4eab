"""An import: bytes come to the stage, take the shape that is wanted, and go to the stores, one after the other.

What it wants stands in the task's `input`, how far it is in `progress`. Bytes are carried by jobs of one process, which the
task's claim names; a label only looks after them, so whoever comes after a crash, once the claim has run out, begins the
job under way anew and goes on from there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from sqlalchemy import Row

from pileus.kernel.db import Database, Tx
from pileus.kernel.work import Program, Step, Strand, label
from pileus.services.image import store, task_store
from pileus.services.image.domain import FAILED_IMPORT, IMPORTING_TO, Status, TaskStatus, has_data
from pileus.services.image.driver import StoreError
from pileus.services.image.jobs import Job
from pileus.services.image.state import ImageState
from pileus.services.image.upload import Received, Refused
from pileus.services.image.work.gather import Gathered, Gathering
from pileus.services.image.work.place import Placing
from pileus.services.image.work.shape import Shaping, shaped, unpacked

log = structlog.get_logger("pileus.image")
LOOK_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5)
ELSEWHERE_SECONDS = 0.2
"""Between two looks of a process at what another carries: that one has to get hold of the strand."""


class Failed(Exception):
    """The import can't go on; the message is for the user."""


class ImportProgram(Program):
    name = "image.import"
    after_fault = "clear"

    def __init__(self, db: Database, state: ImageState) -> None:
        self.db = db
        self.state = state
        self.jobs = state.jobs

    @label()
    async def start(self, strand: Strand) -> Step:
        values = {"status": TaskStatus.PROCESSING}
        return strand.hop(self.gather, lambda tx: task_store.change(tx, strand.id, values))

    @label()
    async def gather(self, strand: Strand) -> Step:
        """Bytes that are elsewhere are brought to the stage."""
        return await self._or_fail(strand, self._gather)

    @label()
    async def shape(self, strand: Strand) -> Step:
        """What is packed is unpacked, what is of another format is converted."""
        return await self._or_fail(strand, self._shape)

    @label()
    async def place(self, strand: Strand) -> Step:
        """One store at a time; then the import is over."""
        return await self._or_fail(strand, self._place)

    async def _or_fail(self, strand: Strand, act: Callable[[Strand], Awaitable[Step]]) -> Step:
        """What fails is cleared up at once: that is no state for a strand to rest in."""
        if not await self._claim(strand):
            return strand.nap(ELSEWHERE_SECONDS)
        try:
            return await act(strand)
        except Failed as failure:
            message = str(failure)
            return strand.hop(self.clear, lambda tx: self._fail(tx, strand.id, message))

    async def _gather(self, strand: Strand) -> Step:
        task, image = await self._read(strand)
        if task.input["import_req"]["method"]["name"] in ("glance-direct", "copy-image"):
            return strand.hop(self.shape)
        gathering = Gathering(self.state, task, image)
        job = self._job(strand, "gather", gathering.run)
        if not job.ended:
            return self._look_again(strand, job)
        gathered: Gathered = self._outcome(job)
        return strand.hop(self.shape, lambda tx: _gathered(tx, image.id, gathered))

    async def _shape(self, strand: Strand) -> Step:
        task, image = await self._read(strand)
        shaping = Shaping(self.state, task, image)
        if not shaping.needed:
            return strand.hop(self.place)
        job = self._job(strand, "shape", shaping.run)
        if not job.ended:
            return self._look_again(strand, job)
        changed = self._outcome(job)
        return strand.hop(self.place, lambda tx: _shaped(tx, task, image, changed))

    async def _place(self, strand: Strand) -> Step:
        task, image = await self._read(strand)
        left = task.progress["stores"]
        if not left:
            return strand.hop(self.clear)
        name = left[0]
        job = self._job(strand, f"place {name}", Placing(self.state, task, image, name).run)
        if not job.ended:
            return self._look_again(strand, job)
        try:
            received: Received = self._outcome(job)
        except Failed as failure:
            if task.input["import_req"].get("all_stores_must_succeed", True):
                raise
            last_hope = len(left) == 1 and not task.progress.get("done")
            if last_hope:
                raise
            message = str(failure)
            return strand.nap(0, lambda tx: self._failed(tx, task, name, message))
        return strand.nap(0, lambda tx: self._placed(tx, task, name, received))

    @label()
    async def clear(self, strand: Strand) -> Step:
        """Nothing is left on the stage, nor in stores that the image is not in; then all is told. The task stays for a
        while, to be looked at."""
        await self.jobs.stop(f"{strand.id} ")
        self.state.tokens.pop(strand.id, None)
        task = await self.db.read(task_store.get, strand.id)
        if task is None:
            return strand.done()
        if not TaskStatus(task.status).ended:
            await self._clear_up(task)
            return strand.nap(0, lambda tx: _end(tx, task))
        left = (task.expires_at - strand.now).total_seconds()
        if left > 0:
            return strand.nap(left)
        return strand.done(lambda tx: task_store.delete(tx, task.id))

    async def _clear_up(self, task: Row[Any]) -> None:
        await self._clear_stage(task.image_id)
        image = await self.db.read(store.living, task.image_id)
        if image is None:
            return  # its own end leaves nothing
        there = {each["store"] for each in image.locations}
        for name in task.progress["wanted"]:
            if name not in there:
                await self.state.shelves.store(name).remove(task.image_id)

    async def _clear_stage(self, image_id: str) -> None:
        for each in (image_id, unpacked(image_id), shaped(image_id)):
            await self.state.stage.remove(each)

    @label(destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        """The image is being deleted: nothing more is brought to it."""
        if not await self._claim(strand):
            return strand.nap(ELSEWHERE_SECONDS)
        await self.jobs.stop(f"{strand.id} ")
        self.state.tokens.pop(strand.id, None)
        task = await self.db.read(task_store.get, strand.id)
        if task is None:
            return strand.done()
        await self._clear_stage(task.image_id)
        message = f"Image {task.image_id} was deleted."
        return strand.done(lambda tx: task_store.end(tx, task.id, TaskStatus.FAILURE, message))

    # Jobs

    async def _claim(self, strand: Strand) -> bool:
        """Whether this process carries the bytes. Where another does, nothing of them is left to a job here."""
        seconds = self.state.settings.upload_lease_seconds
        mine = await self.db.write(task_store.claim, strand.id, self.state.node, seconds)
        if not mine:
            await self.jobs.stop(f"{strand.id} ")
        return mine

    async def _read(self, strand: Strand) -> tuple[Row[Any], Row[Any]]:
        task, image = await self.db.read(_task_and_image, strand.id)
        if task is None or image is None:
            raise Failed("The image was deleted while it was imported.")
        return task, image

    def _job(self, strand: Strand, what: str, run: Any) -> Job:
        return self.jobs.ensure(f"{strand.id} {what}", run)

    def _look_again(self, strand: Strand, job: Job) -> Step:
        """Soon at first, then every half second."""
        age = min(job.looks, len(LOOK_SECONDS) - 1)
        job.looks += 1
        seconds = LOOK_SECONDS[age]
        if age < len(LOOK_SECONDS) - 1:
            return strand.nap(seconds)
        message = f"Copied {job.bytes_done >> 20} MiB"
        return strand.nap(seconds, lambda tx: task_store.change(tx, strand.id, {"message": message}))

    @staticmethod
    def _outcome(job: Job) -> Any:
        try:
            return job.result()
        except (Refused, StoreError) as error:
            raise Failed(str(error)) from error
        except TimeoutError as error:
            raise Failed("It took longer than a day.") from error
        except Exception as error:
            log.exception("import failed")
            raise Failed(f"The cloud made a mistake ({type(error).__name__}); its log has more.") from error

    # Rows

    def _placed(self, tx: Tx, task: Row[Any], name: str, received: Received) -> None:
        image = store.living(tx, task.image_id)
        if image is None:
            return
        progress = _without(task.progress, name)
        progress["done"] = [*progress.get("done", []), name]
        task_store.change(tx, task.id, {"progress": progress})
        location = self.state.shelves.location(name, image.id)
        locations = [each for each in image.locations if each["store"] != name] + [location]
        values: dict[str, Any] = {
            "locations": locations,
            "copies": sum(map(self.state.shelves.owned, locations)),
            "properties": {**image.properties, IMPORTING_TO: ",".join(progress["stores"])},
        }
        if not has_data(image.status):
            values |= received.columns
            values["properties"] |= task.progress.get("inject", {})
            if not task.input["import_req"].get("all_stores_must_succeed", True):
                values["status"] = Status.ACTIVE
        store.change(tx, image.id, values)

    @staticmethod
    def _failed(tx: Tx, task: Row[Any], name: str, message: str) -> None:
        """One of several stores could not take it."""
        progress = _without(task.progress, name)
        progress["failed"] = {**progress.get("failed", {}), name: message}
        task_store.change(tx, task.id, {"progress": progress})
        image = store.living(tx, task.image_id)
        if image is not None:
            shown = {IMPORTING_TO: ",".join(progress["stores"]), FAILED_IMPORT: ",".join(progress["failed"])}
            store.change(tx, image.id, {"properties": {**image.properties, **shown}})

    def _fail(self, tx: Tx, task_id: str, message: str) -> None:
        """Remembers why; stores that were filled are given up where all had to be."""
        task = task_store.get(tx, task_id)
        if task is None or TaskStatus(task.status).ended:
            return
        task_store.change(tx, task.id, {"progress": {**task.progress, "fault": message}})
        image = store.living(tx, task.image_id)
        done = task.progress.get("done", [])
        if image is not None and done:
            locations = [each for each in image.locations if each["store"] not in done]
            values = {"locations": locations, "copies": sum(map(self.state.shelves.owned, locations))}
            store.change(tx, image.id, values)


def _end(tx: Tx, task: Row[Any]) -> None:
    """Says what became of the task, and gives the image back."""
    progress = task.progress
    fault, failed = progress.get("fault"), progress.get("failed", {})
    message = fault or "; ".join(f"{name}: {said}" for name, said in failed.items())
    status = TaskStatus.SUCCESS if fault is None else TaskStatus.FAILURE
    result = {"image_id": task.image_id} if fault is None else None
    task_store.end(tx, task.id, status, message, result)
    image = store.living(tx, task.image_id)
    if image is None:
        return
    values: dict[str, Any] = {"staged_bytes": 0}
    if fault is not None:
        shown = {IMPORTING_TO: "", FAILED_IMPORT: ",".join([*failed, *progress["stores"]])}
        values["properties"] = {**image.properties, **shown}
    if image.status == Status.IMPORTING:
        values |= {"status": Status.ACTIVE} if fault is None else {**_NOTHING, "status": Status.QUEUED}
    store.change(tx, image.id, values)


_NOTHING = {
    "size_bytes": None,
    "virtual_size_bytes": None,
    "checksum": None,
    "os_hash_algo": None,
    "os_hash_value": None,
}


def _without(progress: dict[str, Any], name: str) -> dict[str, Any]:
    return {**progress, "stores": [each for each in progress["stores"] if each != name]}


def _task_and_image(tx: Tx, task_id: str) -> tuple[Row[Any] | None, Row[Any] | None]:
    task = task_store.get(tx, task_id)
    return task, None if task is None else store.living(tx, task.image_id)


def _gathered(tx: Tx, image_id: str, gathered: Gathered) -> None:
    image = store.living(tx, image_id)
    if image is not None:
        values: dict[str, Any] = {"staged_bytes": gathered.size_bytes, **gathered.columns}
        if gathered.properties:
            values["properties"] = {**image.properties, **gathered.properties}
        store.change(tx, image_id, values)


def _shaped(tx: Tx, task: Row[Any], image: Row[Any], changed: dict[str, Any]) -> None:
    task_store.change(tx, task.id, {"progress": {**task.progress, "shaped": True}})
    if store.living(tx, image.id) is not None:
        store.change(tx, image.id, changed)
