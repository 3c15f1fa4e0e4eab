"""Logs of access to buckets that wait to be written: what becomes of them, and what they may cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pileus.drivers.object.engine import ObjectEngine
from pileus.services.object_store import access_log
from pileus.services.object_store.access_log import LARGE_BYTES, Lot
from pileus.services.object_store.driver import ObjectDevice
from pileus.services.object_store.s3 import log_records
from pileus.services.object_store.state import ObjectStoreState
from pileus.testing.waiting import until
from tests.breaking_device import BreakingDevice
from tests.object_store_client import store_in
from tests.s3_client import Rig, keys, running
from tests.s3_logs import DAEMON, delivered, logged


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        yield await logged(rig)


@pytest.mark.slow
async def test_what_waits_when_it_is_stopped_is_written(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await logged(rig)
        await rig("GET", "/pile/o")
        assert await keys(rig, "logs") == []
    async with running(tmp_path) as rig:
        assert len(await keys(rig, "logs")) == 1
        assert rig.state.daemons.progress[DAEMON].failure == ""


@pytest.mark.slow
async def test_what_can_not_be_written_when_it_is_stopped_waits_for_the_next_start(tmp_path: Path) -> None:
    """A disk that is full then: nothing is lost, and nothing comes twice."""

    def store(device: ObjectDevice) -> ObjectStoreState:
        state = store_in(tmp_path, devices={0: device})
        state.daemons.folder = tmp_path / "walks"
        return state

    disk = tmp_path / "device"
    device = BreakingDevice(ObjectEngine.on_host(disk))
    async with running(tmp_path, state=store(device)) as rig:
        await logged(rig)
        await rig("GET", "/pile/o")
        device.left = 0
    for _ in range(2):
        async with running(tmp_path, state=store(ObjectEngine.on_host(disk))) as rig:
            lines = await delivered(rig)
            assert len(lines) == 1
            assert rig.state.access_log.size_bytes == 0
    (tmp_path / "walks" / f"{DAEMON}.waiting").write_bytes(b"no lines at all")
    async with running(tmp_path, state=store(ObjectEngine.on_host(disk))) as rig:
        assert (await rig.state.daemons.run_once(DAEMON)).failure == ""
        assert not list((tmp_path / "walks").glob("*.waiting"))


async def test_much_is_written_at_once(rig: Rig) -> None:
    lot = Lot("AUTH_p1", "pile", (await _setting(rig)), "")
    rig.state.access_log.add(lot, b"x" * (LARGE_BYTES - 1))
    assert await keys(rig, "logs") == []
    rig.state.access_log.add(lot, b"y\n")
    await until(lambda: keys(rig, "logs"))
    assert rig.state.access_log.size_bytes == 0


async def _setting(rig: Rig) -> str:
    info = await rig.state.container("AUTH_p1", "pile")
    assert info is not None
    return info.metadata[log_records.KEPT]


async def test_what_can_not_be_written_waits_and_is_bounded(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = rig.state.devices[0]

    async def full(*args: object) -> None:
        from pileus.services.object_store.driver import DeviceFull

        raise DeviceFull("no room")

    await rig("GET", "/pile/o")
    with monkeypatch.context() as patched:
        patched.setattr(device, "put", full)
        assert (await rig.state.daemons.run_once(DAEMON)).counts == {"failed": 1}
        patched.setattr(access_log, "MAX_BYTES", 2000)
        for _ in range(20):
            await rig("GET", "/pile/o")
        assert rig.state.access_log.size_bytes <= 2000
        counts = (await rig.state.daemons.run_once(DAEMON)).counts
        assert counts["failed"] == 1
        assert counts["dropped"] > 10
    lines = await delivered(rig)
    assert len(lines) + counts["dropped"] == 21
    assert rig.state.access_log.size_bytes == 0
