"""Every object device against the one contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.files import HostFiles
from pileus.drivers.object.sim import MemoryFiles
from pileus.services.object_store.encryption import EncryptedDevice, Keymaster
from pileus.testing.contract.object import ObjectDeviceContract
from pileus.testing.contract.object.suite import Disk

SMALL_VOLUMES = 1024 * 1024


class TestOnDisk(ObjectDeviceContract):
    @pytest.fixture
    def disk(self, tmp_path: Path) -> Disk:
        return lambda: ObjectEngine(HostFiles(tmp_path / "d"), volume_bytes=SMALL_VOLUMES)


class TestInGroups(ObjectDeviceContract):
    @pytest.fixture
    def disk(self, tmp_path: Path) -> Disk:
        return lambda: ObjectEngine(HostFiles(tmp_path / "d"), group_power=3, volume_bytes=SMALL_VOLUMES // 8)


class TestInMemory(ObjectDeviceContract):
    @pytest.fixture
    def disk(self) -> Disk:
        files = MemoryFiles()
        return lambda: ObjectEngine(files, volume_bytes=SMALL_VOLUMES)


class TestEncrypted(ObjectDeviceContract):
    @pytest.fixture
    def disk(self) -> Disk:
        files, master = MemoryFiles(), Keymaster({"1": b"k" * 32})
        return lambda: EncryptedDevice(ObjectEngine(files, volume_bytes=SMALL_VOLUMES), master)
