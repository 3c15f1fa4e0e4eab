"""An image made of a server: what is on its root disk, uploaded to the image service."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from pileus.kernel.db import Tx, rows
from pileus.kernel.errors import ApiError
from pileus.kernel.work import Fault, Program, Step, Strand, Write, label
from pileus.services.compute.domain import Task
from pileus.services.compute.driver import HypervisorError
from pileus.services.compute.events import announce
from pileus.services.compute.model import snapshots
from pileus.services.compute.needs import SERVICE, Item, Needs
from pileus.services.compute.state import ComputeState
from pileus.services.compute.store import action as actions
from pileus.services.compute.store import server as store

ACTION, EVENT = "createImage", "compute_snapshot_instance"
TASKS = (Task.SNAPSHOT_PENDING, Task.SNAPSHOT, Task.SNAPSHOT_UPLOADING)
PATIENCE = 3
"""How often in a row it may fail before the user is told."""
LOOK_SECONDS = 0.5


class SnapshotProgram(Program):
    """What a user does to image or server meanwhile wins."""

    name = "compute.snapshot"
    after_fault = "destroy"

    def __init__(self, state: ComputeState, needs: Needs) -> None:
        self.state, self.images = state, needs.images
        self.db, self.hosts = state.db, state.hosts

    @label(deadline=60)
    async def start(self, strand: Strand) -> Step:
        """Say that it begins."""
        _, server = await self.db.read(_involved, strand.id)
        return strand.hop(self.upload, _task(server, Task.SNAPSHOT))

    @label(deadline=24 * 3600)
    async def upload(self, strand: Strand) -> Step:
        """Have the disk's content in the image."""
        snapshot, server = await self.db.read(_involved, strand.id)
        image = await self._image(snapshot)
        if image is None or image["status"] == "active":
            return strand.done(self._ended(snapshot, server))
        if server.deleted_at is not None or server.host is None or server.hypervisor is None:
            await self._drop(snapshot)
            return strand.done(self._ended(snapshot, server, "The server is gone."))
        try:
            host = self.hosts.get(server.host)
            if await host.finished(strand.id, lambda: self._upload(server, image)):
                return strand.done(self._ended(snapshot, server))
        except (HypervisorError, ApiError) as error:
            if image["status"] == "saving" and getattr(error, "status", None) == 409:
                return strand.nap(LOOK_SECONDS)  # an upload that broke off still has its lease
            if strand.tries < PATIENCE:
                raise
            await self._drop(snapshot)
            return strand.done(self._ended(snapshot, server, str(error)))
        return strand.nap(LOOK_SECONDS, _task(server, Task.SNAPSHOT_UPLOADING))

    @label(destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        """Leave no image that is none."""
        snapshot, server = await self.db.read(_involved, strand.id)
        await self._drop(snapshot)
        return strand.done(self._ended(snapshot, server, strand.last_error or "It took too long."))

    def on_fault(self, strand: Strand, fault: Fault) -> Write:
        return lambda tx: self.state.work.destroy(tx, strand.id)

    async def _image(self, snapshot: Row[Any]) -> Item | None:
        try:
            return await self.images.get(SERVICE, snapshot.image_id)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def _upload(self, server: Row[Any], image: Item) -> None:
        hypervisor = await self.hosts.get(server.host).hypervisor(server.hypervisor)
        async with hypervisor.snapshot(server.id) as taken:
            wanted = {"disk_format": taken.disk_format, "container_format": taken.container_format}
            changes = [
                {"op": "add" if image.get(name) is None else "replace", "path": f"/{name}", "value": value}
                for name, value in wanted.items()
                if image.get(name) != value
            ]
            if changes:
                await self.images.update(SERVICE, image["id"], changes)
            await self.images.upload(SERVICE, image["id"], taken.chunks)

    async def _drop(self, snapshot: Row[Any]) -> None:
        image = await self._image(snapshot)
        if image is not None and image["status"] != "active":
            await self.images.delete(SERVICE, snapshot.image_id)

    def _ended(self, snapshot: Row[Any], server: Row[Any], error: str | None = None) -> Write:
        def write(tx: Tx) -> None:
            rows.remove(tx, snapshots, snapshot.id)
            if store.get(tx, server.id).task_state in TASKS:
                store.update(tx, server.id, task_state=None, task_since=None)
            began = server.task_since or server.created_at
            request_id = actions.finish(tx, server.id, ACTION, EVENT, began, server.host, error)
            what, more = ("snapshot.end", {}) if error is None else ("snapshot.error", {"message": error})
            shown = store.shown(tx, server.id)._asdict()
            announce(self.state.events, tx, what, shown, request_id, image_id=snapshot.image_id, **more)

        return write


def _involved(tx: Tx, snapshot_id: str) -> tuple[Row[Any], Row[Any]]:
    """The snapshot and its server."""
    snapshot = rows.existing(tx, snapshots, snapshot_id)
    return snapshot, store.get(tx, snapshot.server_id)


def _task(server: Row[Any], task: Task) -> Write:
    def write(tx: Tx) -> None:
        now = store.get(tx, server.id).task_state
        if now in TASKS and now != task:
            store.update(tx, server.id, task_state=task)

    return write
