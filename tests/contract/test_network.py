"""Every network engine against the one contract."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pileus.drivers import vif
from pileus.drivers.network.ovn import OvnEngine
from pileus.drivers.network.sim import SimEngine, World
from pileus.services.compute.driver import Nic, Vif
from pileus.services.network.driver import Binding, NetworkEngine, Port
from pileus.testing.contract.network import NetworkContract, Rig


class SimRig(Rig):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    def new_engine(self) -> NetworkEngine:
        return SimEngine(self.world)

    async def plug(self, port: Port, binding: Binding) -> None:
        engine = self.engines[-1]
        assert isinstance(engine, SimEngine)
        await engine.plug(port.id)

    async def unplug(self, port: Port, binding: Binding) -> None:
        pass


class OvnRig(Rig):
    """Guests are taps that nobody has opened: to be plugged in is all that the contract asks of them."""

    def __init__(self, state_directory: Path) -> None:
        super().__init__()
        self.state_directory = state_directory

    def new_engine(self) -> NetworkEngine:
        return OvnEngine(self.state_directory, self.host)

    async def plug(self, port: Port, binding: Binding) -> None:
        tap = await vif.plug_tap(self._nic(port, binding))
        assert tap is not None
        os.close(tap.fd)

    async def unplug(self, port: Port, binding: Binding) -> None:
        await vif.unplug(self._nic(port, binding))

    def _nic(self, port: Port, binding: Binding) -> Nic:
        place = Vif(type=binding.vif_type, details=binding.vif_details)
        return Nic(port_id=port.id, mac=port.mac, mtu=1500, vif=place)


class TestSim(NetworkContract):
    @pytest.fixture
    def rig(self) -> Rig:
        return SimRig()


@pytest.fixture(scope="module")
def state_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("ovn")
    yield directory
    asyncio.run(OvnEngine(directory, Rig.host).teardown())


@pytest.mark.host
class TestOvn(NetworkContract):
    @pytest.fixture
    def rig(self, state_directory: Path) -> Rig:
        return OvnRig(state_directory)
