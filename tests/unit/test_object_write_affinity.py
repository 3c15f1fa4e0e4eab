"""A proxy that writes to its own region first."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from functools import partial

import pytest

from pileus.drivers.object.cluster.device import ObjectCluster
from pileus.drivers.object.cluster.replicator import Replicator
from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.sim import MemoryFiles
from pileus.kernel.clock import SystemClock
from pileus.lib.ring import Builder
from pileus.lib.ring.affinity import Affinity, locality
from pileus.services.object_store.daemons import Daemons
from pileus.testing.contract.object.suite import LARGE, at, body_of, key_of, upload
from pileus.testing.waiting import until

HERE, DEVICES = {0, 1, 2, 3}, 8
PATHS = [f"a/c/{number}" for number in range(30)]


class Regions:
    """Two, of four devices each; three replicas. One proxy writes to the first region, the other to all."""

    def __init__(self) -> None:
        builder = Builder(5, 3)
        for number in range(DEVICES):
            builder.add(region=1 + number // 4, zone=1, ip=f"10.0.0.{number}", port=1, device="d", weight=1)
        builder.rebalance(1, 1e9)
        self.engines = {n: ObjectEngine(MemoryFiles(), suffix_power=12) for n in range(DEVICES)}
        ring, clock = builder.ring(), SystemClock()
        self.here = ObjectCluster(ring, self.engines, clock, affinity=Affinity(local=locality("r1")))
        self.there = ObjectCluster(ring, self.engines, clock)

    async def holders(self, path: str) -> set[int]:
        stamps = {number: await engine.peek(key_of(path)) for number, engine in self.engines.items()}
        return {number for number, stamp in stamps.items() if stamp is not None and not stamp.deleted}

    async def copies(self, path: str) -> set[int] | None:
        """Once there are three: the last may come after the answer."""
        found = await self.holders(path)
        return found if len(found) == 3 else None

    def homes(self, path: str) -> set[int]:
        return {peer.id for peer in self.there.placement.of(key_of(path)).primaries}


@pytest.fixture
async def regions() -> AsyncIterator[Regions]:
    made = Regions()
    await made.here.start(lambda version: None, "")
    yield made
    await made.here.close()


@pytest.mark.slow
@pytest.mark.parametrize("size", [100, LARGE])
async def test_new_data_stay_here_and_go_home_with_the_replicator(regions: Regions, size: int) -> None:
    body, abroad = os.urandom(size), 0
    for path in PATHS[: 30 if size == 100 else 5]:
        await upload(regions.here, path, at(1), body)
        homes, holders = regions.homes(path), await until(partial(regions.copies, path))
        assert holders & homes
        local = len(homes & HERE)
        assert len(holders & HERE) >= max(local, 1)
        abroad += len(homes - HERE) - len(holders - HERE)
        # Whoever asks any proxy finds it at once.
        assert await body_of(regions.there, path) == body
    assert abroad > 0
    daemons = Daemons(SystemClock())
    replicator = Replicator(regions.there.placement, regions.engines, SystemClock(), 7 * 24 * 3600.0)
    replicator.per_second = 1e9
    daemons.add(replicator)
    for _ in range(3):
        await daemons.run_once(replicator.name)
    for path in PATHS[: 30 if size == 100 else 5]:
        assert await regions.holders(path) == regions.homes(path)


async def test_others_stand_in_where_here_is_full(regions: Regions) -> None:
    for number in HERE:
        files = regions.engines[number]._files
        assert isinstance(files, MemoryFiles)

        def fault(what: str) -> None:
            if what in ("write", "create"):
                raise OSError(28, "No space left on device")

        files.fault = fault
    done = 0
    for path in PATHS:
        if len(regions.homes(path) - HERE) >= 2:
            await upload(regions.here, path, at(1), b"there")
            assert await body_of(regions.here, path) == b"there"
            done += 1
    assert done


async def test_what_is_deleted_stays_so(regions: Regions) -> None:
    for path in PATHS:
        await upload(regions.here, path, at(1), b"soon gone")
        await regions.there.delete(key_of(path), path, at(2))
        found = await regions.here.find(key_of(path))
        assert found is not None
        assert found.deleted
