"""Devices that were away for longer than deletions are remembered."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pileus.app.objects import object_store
from pileus.drivers.object.node.node import StorageNode
from pileus.drivers.object.node.rings import Rings
from pileus.drivers.object.presence import MARK, Presence, last_served
from pileus.kernel.config import ConfigError
from pileus.lib.ring import Builder, encode
from pileus.services.object_store.daemons import Daemons
from pileus.services.object_store.driver import DeviceError
from pileus.services.object_store.settings import Settings
from pileus.testing.clock import FakeClock
from pileus.testing.cloud import free_port

HOST = "127.0.0.31"
DAY = 24 * 3600.0


class Host:
    """One node with two devices, started and closed as often as is wanted."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.port = folder, FakeClock(), free_port()
        builder = Builder(2, 2, 0)
        for zone, device in enumerate(("sdb1", "sdc1")):
            builder.add(zone=zone, ip=HOST, port=self.port, device=device, weight=1)
            (folder / "srv" / device).mkdir(parents=True)
        builder.rebalance(1, 0)
        (folder / "etc").mkdir()
        for name in ("container", "object"):
            (folder / "etc" / f"{name}.ring.gz").write_bytes(encode(builder.ring()))

    def device(self, name: str) -> Path:
        return self.folder / "srv" / name

    async def serve(self) -> list[str]:
        """What it serves."""
        rings = Rings(self.folder / "etc")
        node = StorageNode(self.folder / "srv", rings, bytes(32), HOST, self.port, self.clock)
        try:
            await node.start()
            return sorted(name for name in node.served if name.startswith("object/"))
        finally:
            await node.close()


async def test_a_device_that_was_away_for_too_long_is_not_served(tmp_path: Path) -> None:
    host = Host(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    assert await host.serve() == ["object/sdb1", "object/sdc1"]
    for days in (4, 8):
        host.device("sdc1").rename(elsewhere)
        for _ in range(days // 4):
            await host.clock.advance(4 * DAY)
            assert await host.serve() == ["object/sdb1"]
        elsewhere.rename(host.device("sdc1"))
        before = sorted(host.device("sdc1").rglob("*"))
        if days == 4:
            assert await host.serve() == ["object/sdb1", "object/sdc1"], "others remember what was deleted"
        else:
            assert await host.serve() == ["object/sdb1"]
            assert sorted(host.device("sdc1").rglob("*")) == before, "nothing is touched"

    for each in host.device("sdc1").iterdir():
        if each.is_dir():
            shutil.rmtree(each)
    assert await host.serve() == ["object/sdb1", "object/sdc1"], "it has come back empty"


async def test_marks_move_on_while_devices_are_there(tmp_path: Path) -> None:
    clock = FakeClock()
    presence, daemons = Presence(clock), Daemons(clock)
    daemons.add(presence)
    kept, gone = tmp_path / "kept", tmp_path / "gone"
    for folder in (kept, gone):
        folder.mkdir()
        (folder / "content").touch()
        presence.begin(folder)
    shutil.rmtree(gone)
    gone.mkdir()
    for _ in range(9):
        await clock.advance(DAY)
        await daemons.run_once(presence.name)
    assert last_served(kept) == clock.now().timestamp()
    assert not list(gone.iterdir()), "below a mount point that is not mounted nothing is written"
    Presence(clock).begin(kept)


async def test_a_cluster_that_was_off_says_how_it_comes_back(tmp_path: Path) -> None:
    host = Host(tmp_path)
    await host.serve()
    await host.clock.advance(30 * DAY)
    day = datetime.fromtimestamp(last_served(host.device("sdb1")) or 0, UTC)
    with pytest.raises(
        DeviceError, match=rf"last in service on {day:%Y-%m-%d} .* 30\.0 days ago.*Remove what is in it"
    ):
        await host.serve()
    for name in ("sdb1", "sdc1"):
        (host.device(name) / MARK).unlink()
    assert await host.serve() == ["object/sdb1", "object/sdc1"]


async def test_what_a_mark_says_must_be_a_time(tmp_path: Path) -> None:
    host = Host(tmp_path)
    await host.serve()
    (host.device("sdb1") / MARK).write_text("yesterday")
    assert await host.serve() == ["object/sdc1"]


async def test_disks_of_one_process_are_compared_with_each_other(tmp_path: Path) -> None:
    clock = FakeClock()

    async def up(days: float) -> None:
        store = object_store(Settings(devices=2), tmp_path, clock)
        await store.devices[0].start(lambda version: None, "")
        await clock.advance(days * DAY)
        await store.daemons.run_once("device-presence")
        await store.devices[0].close()

    await up(days=1)
    await clock.advance(30 * DAY)
    await up(days=0)  # nobody was there to forget anything
    gone = tmp_path / "device-2"
    gone.rename(tmp_path / "unplugged")
    await up(days=8)
    shutil.rmtree(gone)
    (tmp_path / "unplugged").rename(gone)
    with pytest.raises(ConfigError, match=r"device-2 was last in service .* 8\.0 days ago"):
        await up(days=0)
    shutil.rmtree(gone)
    await up(days=0)
