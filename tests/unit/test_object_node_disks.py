"""Disks that a node does not have yet when they are asked for, and those that come and go while it runs."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pileus.drivers.object.node.node import StorageNode
from pileus.drivers.object.node.rings import Rings
from pileus.kernel.clock import SystemClock
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError
from pileus.testing.waiting import until
from tests.unit.test_object_ring_change import KEY, LARGE, POWER, Proxy, Site, following, site

HOST = "127.0.0.21"
SMALL = {f"o{number}": b"%d" % number for number in range(24)}


def grow(there: Site) -> None:
    """A ring with another disk, of which the node does not hear."""
    etc = there.folder / "proxy-etc"
    shutil.copytree(there.etc, etc)
    there.etc = etc
    there.place(HOST, "sdc1")
    there.rebalance()


async def opened(there: Site) -> Proxy:
    """A proxy that goes by the newest ring, with a container."""
    proxy = await there.proxy("p1")
    await proxy.lists.set_container("a", "c", Timestamp(1), dict, make=True)
    return proxy


async def put_all(proxy: Proxy) -> None:
    for name, body in SMALL.items():
        await proxy.put(name, body, 5)
        await proxy.put(f"large-{name}", body * LARGE, 5)


async def find_all(proxy: Proxy) -> None:
    for name, body in SMALL.items():
        assert await proxy.get(name) == body
        assert await proxy.get(f"large-{name}") == body * LARGE
    everything = {*SMALL, *(f"large-{name}" for name in SMALL)}

    async def has_all() -> bool:
        return await proxy.names() == everything

    await until(has_all, 60)


@pytest.mark.slow
async def test_a_node_takes_what_a_newer_ring_places_there(tmp_path: Path) -> None:
    """With one replica there is nobody else who could."""
    async with site(tmp_path, 1, 1) as there:
        old = there.etc
        grow(there)
        proxy = await opened(there)
        await put_all(proxy)
        await find_all(proxy)
        node = there.nodes[HOST]
        assert {"object/sdc1", "container/sdc1"} <= {*node.served}
        for file in there.etc.iterdir():
            shutil.copy(file, old)
        await until(lambda: bool(node.follower.rings.lists.devices[1:]), 60)
        engine = node.engines["object/sdc1"]
        assert [stamps for n in range(1 << POWER) if (stamps := await engine.stamps(POWER, n))]
        await find_all(proxy)
        await there.stop(HOST)
        await there.start(HOST)
        await find_all(proxy)


@pytest.mark.slow
async def test_a_ring_that_is_there_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    """Not with the next look at the files only."""
    async with site(tmp_path, 1, 1) as there:
        there.nodes[HOST].follower.every_seconds = 1e9
        there.place(HOST, "sdc1")
        there.rebalance()
        proxy = await opened(there)
        await put_all(proxy)
        await find_all(proxy)
        assert len([each for each in there.nodes[HOST].follower.rings.lists.devices if each]) == 2


@pytest.mark.slow
async def test_what_no_disk_is_there_for_is_refused(tmp_path: Path) -> None:
    async with site(tmp_path, 1, 1) as there:
        grow(there)
        (there.folder / HOST / "sdc1").rmdir()
        proxy = await there.proxy("p1")
        outcomes = await asyncio.gather(
            *(proxy.put(name, body, 5) for name, body in SMALL.items()), return_exceptions=True
        )
        refused = [outcome for outcome in outcomes if outcome is not None]
        assert refused
        assert all(isinstance(each, DeviceError) and "sdc1" in str(each) for each in refused)
        assert not (there.folder / HOST / "sdc1").exists(), "a mount point is never made"
        for target in ("object/..", "object/.node", "object/a/b", "object", "", "container/../sdb1"):
            await there.nodes[HOST]._fetch(target)
        assert {*there.nodes[HOST].served} == {"object/sdb1", "container/sdb1"}


@pytest.mark.slow
async def test_a_folder_that_appears_is_served(tmp_path: Path) -> None:
    async with site(tmp_path, 1, 1) as there:
        there.place(HOST, "sdc1")
        (there.folder / HOST / "sdc1").rmdir()
        there.rebalance()
        node = there.nodes[HOST]
        await until(lambda: len(node.follower.rings.lists.devices) == 2, 60)
        assert "object/sdc1" not in node.served
        (there.folder / HOST / "sdc1").mkdir()
        await until(lambda: {"object/sdc1", "container/sdc1"} <= {*node.served}, 60)
        proxy = await opened(there)
        async with following(proxy):
            await put_all(proxy)
            await find_all(proxy)
        assert await there.held(HOST, "sdc1")
        assert node.daemons.progress["disk-watcher"].totals["changed"] == 1


def names(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


class Mount:
    """A disk in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mount(self) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "pileus-test", self.folder], check=True)

    def umount(self) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Mount]:
    folder = tmp_path / "devices" / "sdb1"
    folder.mkdir(parents=True)
    mount = Mount(folder)
    yield mount
    if os.path.ismount(folder):
        mount.umount()


@pytest.mark.host
async def test_a_disk_that_is_mounted_and_taken_away(tmp_path: Path, disk: Mount) -> None:
    """Never what lies below it in its stead."""
    async with site(tmp_path, 1, 1) as there:
        await there.stop(HOST)
        rings = Rings(there.etc)
        node = StorageNode(
            disk.folder.parent, rings, KEY, HOST, there.port, SystemClock(), every_seconds=0.05
        )
        await node.start()
        try:
            proxy = await there.proxy("p1")
            await proxy.lists.set_container("a", "c", Timestamp(1), dict, make=True)
            before, below = node.engines["object/sdb1"], names(disk.folder)
            disk.mount()
            await until(lambda: node.engines.get("object/sdb1") not in (None, before), 60)
            await proxy.lists.set_container("a", "c", Timestamp(2), dict, make=True)
            await proxy.put("o", b"on the disk", 5)
            assert await proxy.get("o") == b"on the disk"
            disk.umount()
            await until(lambda: not node.served, 60)
            with pytest.raises(DeviceError):
                await proxy.put("o", b"below", 6)
            assert names(disk.folder) == below
            disk.mount()
            await until(lambda: bool(node.served), 60)
        finally:
            await node.close()
