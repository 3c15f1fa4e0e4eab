"""A ring of devices is a device: the one contract, over rings of several shapes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pileus.drivers.object.cluster.device import ObjectCluster
from pileus.drivers.object.cluster.local import local_ring
from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.files import Files, HostFiles
from pileus.drivers.object.sim import MemoryFiles
from pileus.kernel.clock import SystemClock
from pileus.testing.contract.object import ObjectDeviceContract
from pileus.testing.contract.object.suite import Disk

pytestmark = pytest.mark.slow

SMALL_VOLUMES = 1024 * 1024


def disk_over(files: list[Files], replicas: int) -> Disk:
    def make() -> ObjectCluster:
        members = {
            number: ObjectEngine(each, volume_bytes=SMALL_VOLUMES, suffix_power=12)
            for number, each in enumerate(files)
        }
        return ObjectCluster(local_ring(len(files), replicas), members, SystemClock())

    return make


class TestInMemory(ObjectDeviceContract):
    @pytest.fixture(params=[(1, 1), (3, 3), (5, 3), (4, 2)], ids=lambda shape: f"{shape[0]}x{shape[1]}")
    def disk(self, request: pytest.FixtureRequest) -> Disk:
        devices, replicas = request.param
        return disk_over([MemoryFiles() for _ in range(devices)], replicas)


class TestOnDisk(ObjectDeviceContract):
    @pytest.fixture
    def disk(self, tmp_path: Path) -> Disk:
        for number in range(3):
            (tmp_path / f"d{number}").mkdir()
        return disk_over([HostFiles(tmp_path / f"d{number}") for number in range(3)], 3)
