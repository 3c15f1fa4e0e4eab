"""Imports, copies, deletions and broken uploads converge wherever they are killed, and leave nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from pileus.drivers.image import sim
from pileus.kernel.api.application import Application
from pileus.kernel.api.service import Runtime
from pileus.kernel.clock import Clock
from pileus.kernel.db import Tx
from pileus.kernel.work import Program
from pileus.kernel.work.model import strands
from pileus.services.image import store, task_store
from pileus.services.image.domain import Status
from pileus.services.image.model import images, tasks
from pileus.services.image.service import service
from pileus.services.image.settings import Settings
from pileus.services.image.shelves import Shelf, Shelves
from pileus.services.image.state import ImageState
from pileus.services.image.work import programs
from pileus.testing.crash import Act, Process, Scenario, crash_everywhere
from pileus.testing.service import ADMIN, ServiceUnderTest
from tests.image_cloud import Images

DATA = bytes(range(256)) * 20
URL = "http://example.org/image"


class World:
    """Three places that outlive a process, and which process it is that may touch them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.places = {name: sim.World() for name in ("file", "second", "stage")}
        self.process = 0

    @property
    def empty(self) -> bool:
        return not any(place.objects or place.parts for place in self.places.values())


class Died(BaseException):
    """What a dead process's coroutines get to see."""


class MortalWriter(sim.SimWriter):
    def __init__(self, world: World, place: sim.World, object_id: str, attempt: str) -> None:
        super().__init__(place, object_id, attempt)
        self._all, self._process = world, world.process

    async def _take_time(self) -> None:
        await self._all.clock.sleep(0.01)
        if self._all.process != self._process:
            raise Died

    async def write(self, chunk: bytes) -> None:
        await self._take_time()
        await super().write(chunk)

    async def finish(self) -> None:
        await self._take_time()
        await super().finish()

    async def abort(self) -> None:
        if self._all.process == self._process:
            await super().abort()


class MortalStore(sim.SimStore):
    def __init__(self, world: World, name: str) -> None:
        super().__init__(world.places[name], name)
        self._all = world

    async def writer(self, object_id: str, attempt: str) -> MortalWriter:
        await self._all.clock.sleep(0.01)
        return MortalWriter(self._all, self._world, object_id, attempt)

    async def remove(self, object_id: str) -> None:
        await self._all.clock.sleep(0.01)
        await super().remove(object_id)


class Web:
    """One address has data; all others have none."""

    def check(self, url: str) -> None:
        return None

    async def fetch(
        self, url: str, *, headers: Mapping[str, str] | None = None, trusted: bool = False
    ) -> AsyncIterator[bytes]:
        yield DATA[:2000]
        if url != URL:
            from pileus.services.image.driver import StoreError

            raise StoreError("it broke off")
        yield DATA[2000:]


class ImageStory(Scenario[World]):
    ids: dict[str, str]

    def make_world(self, clock: Clock) -> World:
        self.ids = {}
        return World(clock)

    def runtime(self, process: Process[World]) -> Runtime:
        world = process.world
        shelves = [Shelf(MortalStore(world, "file"), weight=2), Shelf(MortalStore(world, "second"), weight=1)]
        stage = MortalStore(world, "stage")
        state = ImageState(Shelves(shelves, "file"), stage, stage, Web(), Settings())
        return process.runtime(service, state=state)

    def programs(self, process: Process[World]) -> Sequence[Program]:
        process.world.process += 1
        return programs(self.runtime(process))

    def cloud(self, process: Process[World]) -> Images:
        runtime = self.runtime(process)
        served = ServiceUnderTest(runtime, Application([runtime], service.dialect), None)
        return Images(served, runtime.state, Path("/nowhere"))

    async def _make(self, process: Process[World], name: str) -> str:
        self.ids[name] = await self.cloud(process).make(ADMIN)
        return self.ids[name]

    async def _shown(self, process: Process[World], name: str) -> Any:
        return await self.cloud(process).get(f"/images/{self.ids[name]}", as_=ADMIN)

    async def _task_is(self, process: Process[World], name: str, status: str) -> bool:
        found = await process.db.read(task_store.of_image, self.ids[name])
        return bool(found) and found[-1].status == status

    async def _delete(self, process: Process[World], name: str) -> None:
        reply = await self.cloud(process).ask("DELETE", f"/images/{self.ids[name]}", as_=ADMIN)
        assert reply.status == 204

    async def _gone(self, process: Process[World]) -> bool:
        return not await process.db.read(_count, images) and process.world.empty

    async def check(self, process: Process[World]) -> None:
        assert process.world.empty
        assert not await process.db.read(_count, images)
        left = await process.db.read(lambda tx: tx.scalars(select(strands.c.program)))
        ended = await process.db.read(_count, tasks)
        assert len(left) <= ended  # those of tasks that can still be looked at


def _count(tx: Tx, table: Any) -> int:
    return int(tx.scalar(select(func.count()).select_from(table)))


class Direct(ImageStory):
    """Staged data goes to both stores; then the image is deleted."""

    def story(self) -> Sequence[Act[World]]:
        return [Act(self.import_, self.is_there), Act(self.delete, self._gone)]

    async def import_(self, process: Process[World]) -> None:
        image_id = await self._make(process, "one")
        cloud = self.cloud(process)
        assert (await cloud.upload(image_id, DATA, as_=ADMIN, to="stage")).status == 204
        reply = await cloud.import_(image_id, "glance-direct", as_=ADMIN, all_stores=True)
        assert reply.status == 202, reply.body

    async def is_there(self, process: Process[World]) -> bool:
        if not await self._task_is(process, "one", "success"):
            return False
        shown = await self._shown(process, "one")
        places = process.world.places
        return (
            (shown["status"], shown["stores"], shown["size"]) == ("active", "file,second", len(DATA))
            and all(places[name].objects == {self.ids["one"]: DATA} for name in ("file", "second"))
            and not places["stage"].objects
            and not any(place.parts for place in places.values())
        )

    async def delete(self, process: Process[World]) -> None:
        await self._delete(process, "one")


class Elsewhere(ImageStory):
    """Two images from elsewhere, one of which breaks off; another deleted while it comes; and a broken upload."""

    def story(self) -> Sequence[Act[World]]:
        return [
            Act(self.fetch, self.have_come),
            Act(self.delete_in_the_middle, self.only_two),
            Act(self.break_off, self.is_queued),
            Act(self.delete, self._gone),
        ]

    async def _fetch(self, process: Process[World], name: str, url: str) -> None:
        image_id = await self._make(process, name)
        method = {"name": "web-download", "uri": url}
        assert (await self.cloud(process).import_(image_id, method, as_=ADMIN)).status == 202

    async def fetch(self, process: Process[World]) -> None:
        await self._fetch(process, "good", URL)
        await self._fetch(process, "bad", URL + "?")

    async def have_come(self, process: Process[World]) -> bool:
        if not (
            await self._task_is(process, "good", "success") and await self._task_is(process, "bad", "failure")
        ):
            return False
        bad = await self._shown(process, "bad")
        world = process.world
        return (
            (bad["status"], bad["size"]) == ("queued", None)
            and world.places["file"].objects == {self.ids["good"]: DATA}
            and not world.places["stage"].objects
            and not any(place.parts for place in world.places.values())
        )

    async def delete_in_the_middle(self, process: Process[World]) -> None:
        await self._fetch(process, "brief", URL)
        await process.clock.sleep(0.05)
        await self._delete(process, "brief")

    async def only_two(self, process: Process[World]) -> bool:
        places = process.world.places
        return (
            await process.db.read(_count, images) == 2
            and set(places["file"].objects) == {self.ids["good"]}
            and not places["stage"].objects
            and not any(place.parts for place in places.values())
        )

    async def break_off(self, process: Process[World]) -> None:
        """What a process that dies in the middle of an upload leaves."""
        image_id = self.ids["bad"]
        process.world.places["file"].parts[image_id, "lost"] = bytearray(b"half")

        def begin(tx: Tx) -> None:
            until = tx.now + timedelta(seconds=5)
            assert store.begin_upload(tx, image_id, "lost", until, Status.SAVING, (Status.QUEUED,))
            process.work.wake(tx, image_id)

        await process.db.write(begin)

    async def is_queued(self, process: Process[World]) -> bool:
        shown = await self._shown(process, "bad")
        return shown["status"] == "queued" and not process.world.places["file"].parts

    async def delete(self, process: Process[World]) -> None:
        await self._delete(process, "good")
        await self._delete(process, "bad")


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("story", [Direct(), Elsewhere()], ids=["direct", "elsewhere"])
async def test_images_survive_everything(story: ImageStory) -> None:
    proof = await crash_everywhere(story)
    assert proof.points > 20
    await asyncio.sleep(0)
