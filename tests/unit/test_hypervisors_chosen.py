"""Which hypervisors a host gets: the house's by name, others' by their entry points."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pileus.app import drivers
from pileus.app.compose import Composer
from pileus.app.settings import Settings
from pileus.drivers.hypervisor.sim import SimHypervisor, World
from pileus.kernel.clock import SystemClock
from pileus.kernel.config import ConfigError
from pileus.services.compute.driver import Place


class Halting(SimHypervisor):
    """Leaves a file where it was halted."""

    def __init__(self, place: Place) -> None:
        super().__init__(World(), place.host, place.clock)
        self.place = place

    async def halt(self, grace_seconds: float) -> None:
        self.place.directory.mkdir(parents=True)
        (self.place.directory / "halted").touch()


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed distribution that brings the hypervisor `halting`."""
    installed = tmp_path / "site"
    info = installed / "halting-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: halting\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[pileus.hypervisors]\nhalting = {__name__}:Halting\n")
    monkeypatch.syspath_prepend(installed)


def test_by_default() -> None:
    assert drivers.chosen(Settings()) == ("qemu", "runc")
    assert drivers.chosen(Settings(sim=True)) == ("sim",)


@pytest.mark.parametrize("name", drivers.HYPERVISORS)
def test_the_houses_own_are_where_the_table_says(name: str, tmp_path: Path) -> None:
    hosts = drivers.hosts(Settings(hypervisors=(name,)), tmp_path, "one", SystemClock())
    (made,) = hosts.get("one").hypervisors
    assert type(made).__name__.lower() == f"{name}hypervisor"


def test_unknown_names_are_told_before_anything_starts(
    plug_in: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PILEUS_HYPERVISORS", '["qemuu"]')
    with pytest.raises(
        ConfigError, match="the setting hypervisors names 'qemuu'; there are halting, qemu, runc, sim"
    ):
        Composer().settings(None, {})


def test_others_bring_theirs(plug_in: None, tmp_path: Path) -> None:
    settings = Settings(sim=True, hypervisors=("sim", "halting"))
    hosts = drivers.hosts(settings, tmp_path, "one", SystemClock()).by_name
    kinds = {name: [type(each) for each in host.hypervisors] for name, host in hosts.items()}
    assert kinds == {"one": [SimHypervisor, Halting], "one-1": [SimHypervisor, Halting]}


def test_what_outlives_the_process_is_halted_in_a_simulated_cloud_too(plug_in: None, tmp_path: Path) -> None:
    settings = Settings(sim=True, node="one", hypervisors=("halting",))
    asyncio.run(Composer().teardown(settings, tmp_path, lambda text: None))
    halted = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("halted")}
    assert halted == {"hypervisor/halting/halted", "hosts/one-1/hypervisor/halting/halted"}
