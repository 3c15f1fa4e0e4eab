"""Every object device against the one contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.files import HostFiles
from pileus.drivers.object.sim import MemoryFiles
from pileus.services.object_store.encryption import EncryptedDevice, Keymaster
from pileus.testing.contract.object import MemberContract, ObjectDeviceContract
from pileus.testing.contract.object.member import Members
from pileus.testing.contract.object.suite import Disk
from tests.erasure_rig import Rig

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


class TestMemberOnDisk(MemberContract):
    @pytest.fixture
    def members(self, tmp_path: Path) -> Members:
        return lambda: ObjectEngine(HostFiles(tmp_path), volume_bytes=SMALL_VOLUMES, suffix_power=16)

    @pytest.fixture
    def spoil(self, tmp_path: Path) -> Callable[[bytes], None]:
        def turn_over(beginning: bytes) -> None:
            for file in tmp_path.rglob("*"):
                if file.is_file() and (spot := file.read_bytes().find(beginning)) >= 0:
                    with file.open("r+b") as opened:
                        opened.seek(spot)
                        opened.write(bytes(byte ^ 1 for byte in beginning[:10]))

        return turn_over


class TestMemberInMemory(MemberContract):
    @pytest.fixture
    def files(self) -> MemoryFiles:
        return MemoryFiles()

    @pytest.fixture
    def members(self, files: MemoryFiles) -> Members:
        return lambda: ObjectEngine(files, volume_bytes=SMALL_VOLUMES, group_power=2, suffix_power=12)

    @pytest.fixture
    def spoil(self, files: MemoryFiles) -> Callable[[bytes], None]:
        def turn_over(beginning: bytes) -> None:
            for inode in files.names.values():
                if (spot := inode.data.find(beginning)) >= 0:
                    inode.data[spot] ^= 1

        return turn_over


@pytest.mark.slow
class TestErasureCoded(ObjectDeviceContract):
    @pytest.fixture(params=[(4, 2, 6), (2, 1, 3), (2, 1, 2)], ids=["4+2", "2+1", "2+1 on two"])
    def disk(self, request: pytest.FixtureRequest) -> Disk:
        return Rig(*request.param).device
