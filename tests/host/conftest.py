from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .open_vswitch import OpenVSwitch, open_vswitch
from .qemu_rig import QemuRig
from .tiny_linux import TinyLinux


@pytest.fixture(scope="module")
def switch_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenVSwitch]:
    with open_vswitch(tmp_path_factory.mktemp("ovs")) as found:
        yield found


@pytest.fixture
def switch(switch_of_module: OpenVSwitch) -> Iterator[OpenVSwitch]:
    """Empty for each test: what one that failed has left must not fail the next."""
    yield switch_of_module
    for port in switch_of_module.ports():
        switch_of_module.vsctl("del-port", port)


@pytest.fixture
def rig(tmp_path: Path, linux: TinyLinux, switch: OpenVSwitch) -> QemuRig:
    rig = QemuRig(tmp_path / "state", linux)
    rig.switch = switch
    return rig
