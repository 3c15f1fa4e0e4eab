"""The same troubles as of the simulated disks, a little of each, on engines over real files."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.object_cluster_world import World
from tests.object_host_disk import HostDisk
from tests.unit.test_object_cluster_faults import live_through, small_measures

__all__ = ["small_measures"]  # a fixture


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "rot"), [(1, False), (2, True), (3, True)])
async def test_nothing_acknowledged_is_lost(tmp_path: Path, seed: int, rot: bool) -> None:
    world = World(seed, devices=5, replicas=3, disk=lambda number, chance: HostDisk(number, chance, tmp_path))
    await live_through(world, rot=rot, operations=40)
    volumes = await asyncio.to_thread(lambda: list(tmp_path.rglob("*.vol")))
    assert volumes, "it was on these files"
