"""A ring of devices where one thing is wrong."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pileus.drivers.object.cluster.auditor import Auditor
from pileus.drivers.object.cluster.device import ObjectCluster
from pileus.drivers.object.cluster.local import local_ring
from pileus.drivers.object.cluster.member import Stamp
from pileus.drivers.object.cluster.replicator import Replicator
from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.files import HostFiles
from pileus.drivers.object.sim import MemoryFiles
from pileus.kernel.clock import SystemClock
from pileus.services.object_store.daemons import Daemons
from pileus.services.object_store.driver import DeviceError, DeviceFull, Version
from pileus.testing.contract.object.suite import LARGE, at, body_of, key_of, put, upload

RECLAIM_SECONDS = 7 * 24 * 3600.0
PATH, KEY = "a/c/o", key_of("a/c/o")


class Ring:
    """Five devices in memory, three replicas."""

    def __init__(self) -> None:
        self.files = [MemoryFiles() for _ in range(5)]
        self.engines = [ObjectEngine(files, suffix_power=12) for files in self.files]
        self.device = ObjectCluster(local_ring(5, 3), dict(enumerate(self.engines)), SystemClock())
        seats = self.device.placement.of(KEY)
        self.primaries = [peer.id for peer in seats.primaries]
        self.handoffs = [peer.id for peer in seats.handoffs]
        self.daemons = Daemons(SystemClock())
        members = dict(enumerate(self.engines))
        for daemon in (
            Replicator(self.device.placement, members, SystemClock(), RECLAIM_SECONDS),
            Auditor(members, members, self.device.placement.ring.part_power),
        ):
            daemon.per_second = 1e9
            self.daemons.add(daemon)

    async def holders(self) -> set[int]:
        return {number for number, engine in enumerate(self.engines) if await _has(engine)}

    def fill(self, number: int) -> None:
        def fault(what: str) -> None:
            if what in ("write", "create"):
                raise OSError(errno.ENOSPC, "No space left on device")

        self.files[number].fault = fault


async def _has(engine: ObjectEngine) -> bool:
    stamp = await engine.peek(KEY)
    return stamp is not None and not stamp.deleted


@pytest.fixture
async def ring() -> AsyncIterator[Ring]:
    made = Ring()
    await made.device.start(lambda version: None, "")
    yield made
    await made.device.close()


@pytest.mark.parametrize("size", [100, LARGE])
async def test_handoffs_stand_in_for_full_disks_and_give_back(ring: Ring, size: int) -> None:
    body = os.urandom(size)
    for number in ring.primaries[:2]:
        ring.fill(number)
    await upload(ring.device, PATH, at(1), body)
    assert await body_of(ring.device, PATH) == body
    for number in ring.primaries[:2]:
        ring.files[number].fault = lambda what: None
    for _ in range(2):  # what was late comes home with the second walk
        await ring.daemons.run_once("object-replicator")
    assert await ring.holders() == set(ring.primaries)
    assert await body_of(ring.device, PATH) == body
    for number in ring.primaries:
        ring.fill(number)
    with pytest.raises(DeviceFull):
        await upload(ring.device, PATH, at(2), body)
    assert await body_of(ring.device, PATH) == body


async def test_a_body_goes_on_from_another_replica(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    body = os.urandom(LARGE)
    await upload(ring.device, PATH, at(1), body)
    engine = ring.engines[ring.primaries[0]]
    read = engine.read

    async def breaks(key: bytes, version: Version, offset: int, length: int) -> AsyncIterator[bytes]:
        async for chunk in read(key, version, offset, length):
            yield chunk[:1000]
            raise DeviceError("the disk went")

    monkeypatch.setattr(engine, "read", breaks)
    assert await body_of(ring.device, PATH) == body
    assert await body_of(ring.device, PATH, 500, 5000) == body[500:5500]


@pytest.mark.parametrize("place", [0, 1])
async def test_what_is_in_quarantine_is_a_gap_and_no_older_version(ring: Ring, place: int) -> None:
    """The newest is on one primary and on handoffs; then it rots on the primary."""
    await put(ring.device, PATH, at(1), b"old" * 100)
    others = [number for number in ring.primaries if number != ring.primaries[place]]
    for number in others:
        ring.fill(number)
    await put(ring.device, PATH, at(2), b"new" * 100)
    files = ring.files[ring.primaries[place]]
    for inode in files.names.values():
        if (spot := inode.data.find(b"newnew")) >= 0:
            inode.data[spot] ^= 1
    assert (await ring.daemons.run_once("object-auditor")).counts["quarantined"] == 1
    assert await body_of(ring.device, PATH) == b"new" * 100
    for number in others:
        ring.files[number].fault = lambda what: None
    for _ in range(2):
        await ring.daemons.run_once("object-replicator")
    assert await ring.holders() == set(ring.primaries)
    for number in ring.primaries:
        assert await body_of(ring.engines[number], PATH) == b"new" * 100


async def test_what_comes_while_a_handoff_gives_back_is_not_forgotten(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = Version(PATH, at(1), at(1), 3, b"m", False, b"one")
    handoff = ring.engines[ring.handoffs[0]]
    for number in (*ring.primaries, ring.handoffs[0]):
        await ring.engines[number].store(KEY, version)
    stamps = handoff.stamps

    async def meanwhile(*arguments: object) -> object:
        if await handoff.peek(KEY) == Stamp(at(1), at(1)):
            await handoff.store(KEY, version._replace(timestamp=at(2), changed=at(2), body=b"two"))
        return await stamps(*arguments)  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr(handoff, "stamps", meanwhile)
    await ring.daemons.run_once("object-replicator")
    assert await body_of(ring.device, PATH) == b"two"
    assert await ring.engines[ring.primaries[0]].peek(KEY) == Stamp(at(2), at(2))


async def test_a_device_that_does_not_start_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Ring()
    lost = made.engines[made.primaries[0]]

    async def fails(told: Callable[[Version], None], since: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(lost, "start", fails)
    await made.device.start(lambda version: None, "")
    await put(made.device, PATH, at(1), b"body")
    assert await body_of(made.device, PATH) == b"body"
    assert len(await made.holders() - {made.primaries[0]}) >= 2
    await made.device.close()


class Dawdling(HostFiles):
    """Removes a large file late: after another has come under its name, if it can."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.dawdle = threading.Event()
        self.linked = threading.Event()

    def unlink(self, path: str) -> None:
        if path.startswith("large/") and self.dawdle.is_set():
            self.dawdle.clear()
            self.linked.wait(0.3)
        super().unlink(path)

    def link(self, old: str, new: str) -> None:
        super().link(old, new)
        self.linked.set()


async def test_a_dropped_file_may_come_back_at_once(tmp_path: Path) -> None:
    """Its name is the same: the file of before must not go after the new one has come."""
    files = Dawdling(tmp_path)
    engine = ObjectEngine(files, suffix_power=12)
    await engine.start()
    body = os.urandom(LARGE)
    await upload(engine, PATH, at(1), body)
    writer = engine.writer(KEY, PATH)
    await writer.write(body)
    files.linked.clear()
    files.dawdle.set()
    dropping = asyncio.ensure_future(engine.drop(KEY, Stamp(at(1), at(1))))
    # Nothing tells when the record is there, and the file not yet gone.
    while await engine.peek(KEY) is not None:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await writer.finish(at(1), b"m")
    assert await dropping
    assert await body_of(engine, PATH) == body
    await engine.close()


async def test_a_rotten_record_hides_nothing_behind_it() -> None:
    files = MemoryFiles()
    engine = ObjectEngine(files)
    await engine.start()
    for number in range(9):
        await put(engine, f"a/c/{number}", at(1), b"body %d" % number * 50)
    await engine.close()
    (inode,) = [inode for name, inode in files.names.items() if name.endswith(".vol")]
    for spot in (
        inode.data.find(b"body 3"),
        inode.data.find(b"PVR1", inode.data.find(b"body 5body 5") - 300),
    ):
        inode.data[spot] ^= 1
    engine = ObjectEngine(files)
    await engine.start()
    found = [await body_of(engine, f"a/c/{number}") for number in range(9)]
    lost = [number for number, body in enumerate(found) if body is None]
    assert len(lost) == 2
    assert 3 in lost
    assert 8 not in lost
    await put(engine, "a/c/9", at(1), b"after")
    await engine.close()
    engine = ObjectEngine(files)
    await engine.start()
    assert await body_of(engine, "a/c/9") == b"after"
    assert await body_of(engine, "a/c/8") == b"body 8" * 50
    await engine.close()
