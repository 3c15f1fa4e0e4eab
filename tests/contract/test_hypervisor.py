"""Every hypervisor driver against the one contract."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pileus.drivers.hypervisor.sim import SimHypervisor, World
from pileus.kernel.clock import SystemClock
from pileus.services.compute.driver import Image
from pileus.testing.contract.hypervisor import HypervisorContract, Rig
from tests.host.qemu_rig import QemuRig
from tests.host.runc_rig import runc_rig
from tests.host.tiny_linux import TinyLinux


class SimRig(Rig):
    ready_text = "login:"

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.host = self.world.hosts["one"]

    def new_driver(self) -> SimHypervisor:
        return SimHypervisor(self.world, "one", SystemClock())

    def new_images(self) -> dict[str, Image]:
        return {"image": self.new_image(uuid.uuid4().bytes * 10_000, "qcow2")}

    async def boot_of(self, guest_id: str) -> object:
        return self.host.guests[guest_id].boots

    async def crash(self, guest_id: str) -> None:
        self.host.crash(guest_id, "The processor caught fire.")

    def traces(self, guest_id: str) -> list[str]:
        return [guest_id] if guest_id in self.host.guests else []


class TestSim(HypervisorContract):
    @pytest.fixture
    def rig(self) -> Rig:
        return SimRig()


@pytest.mark.host
@pytest.mark.slow
@pytest.mark.timeout(300)
class TestQemu(HypervisorContract):
    @pytest.fixture
    def rig(self, tmp_path: Path, linux: TinyLinux) -> Rig:
        return QemuRig(tmp_path / "state", linux)


@pytest.mark.host
@pytest.mark.slow
@pytest.mark.timeout(300)
class TestRunc(HypervisorContract):
    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        with runc_rig() as rig:
            yield rig
