"""The power fails after every single step of the engine: what was acknowledged is whole, nothing half is seen."""

from __future__ import annotations

import asyncio
import errno
import random
from dataclasses import dataclass

import pytest

from pileus.drivers.object import engine as engine_module
from pileus.drivers.object import volume as volume_module
from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.sim import MemoryFiles
from pileus.services.object_store.driver import DeviceError, DeviceFull, Missing, Superseded
from pileus.testing.contract.object.suite import at, body_of, key_of, put, upload

VOLUME_BYTES = 24 * 1024
PATHS = [f"a/c/{n}" for n in range(9)]


@pytest.fixture(autouse=True)
def small_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_module, "ZERO_STEP", 8192)
    monkeypatch.setattr(volume_module, "SCAN_BYTES", 4096)
    monkeypatch.setattr(engine_module, "SMALL_BYTES", 6000)


@dataclass(frozen=True)
class Promise:
    """A version that was asked for; once more, when it was acknowledged."""

    path: str
    seconds: int
    body: bytes | None
    acknowledged: bool = False


def new_engine(files: MemoryFiles) -> ObjectEngine:
    return ObjectEngine(files, volume_bytes=VOLUME_BYTES)


async def work(files: MemoryFiles, chance: random.Random, rounds: int) -> None:
    """Puts, uploads, deletes, at times at once, with compaction in between; every promise is marked in the log."""
    device = new_engine(files)
    await device.start()
    now = 0
    for turn in range(rounds):
        jobs = []
        for path in chance.sample(PATHS, chance.randint(1, 5)):
            now += 1
            kind = chance.random()
            size = chance.choice((0, 100, 700, 3000, 9000 if kind < 0.3 else 50))
            body = None if kind > 0.75 else chance.randbytes(size)
            jobs.append(_one(files, device, Promise(path, now, body)))
        await asyncio.gather(*jobs)
        if turn % 5 == 4:
            await device.tidy(at(now - 6))
    await device.close()


async def _one(files: MemoryFiles, device: ObjectEngine, promise: Promise) -> None:
    files.mark(promise)
    try:
        if promise.body is None:
            await device.delete(key_of(promise.path), promise.path, at(promise.seconds))
        elif len(promise.body) > 6000:
            await upload(device, promise.path, at(promise.seconds), promise.body)
        else:
            await put(device, promise.path, at(promise.seconds), promise.body)
    except (DeviceError, Superseded):
        return
    files.mark(Promise(promise.path, promise.seconds, promise.body, acknowledged=True))


async def seen(files: MemoryFiles) -> dict[str, bytes | None]:
    device = new_engine(files)
    await device.start()
    found = {path: await body_of(device, path) for path in PATHS}
    await device.close()
    return found


def check(found: dict[str, bytes | None], marks: list[Promise], when: object) -> None:
    """Each object is its latest acknowledged version, or one asked for later."""
    for path in PATHS:
        mine = [mark for mark in marks if mark.path == path]
        sure = max((mark.seconds for mark in mine if mark.acknowledged), default=0)
        allowed = [mark.body for mark in mine if mark.seconds >= sure] + ([None] if not sure else [])
        assert found[path] in allowed, (when, path, sure)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_every_prefix_of_the_log(seed: int) -> None:
    chance = random.Random(seed)
    files = MemoryFiles(recording=True)
    await work(files, chance, rounds=40)
    assert len(files.log) > 300
    assert any(step[0] == "name" and step[2] is None and step[1].endswith(".vol") for step in files.log), (
        "compacted"
    )
    for steps in range(len(files.log) + 1):
        disk, marks = files.after(steps, chance)
        found = await seen(disk)
        check(found, marks, steps)
        if steps % 3 == 0:
            # What was shown once stays, through tidying and another cut; and the disk goes on working.
            disk.recording = True
            device = new_engine(disk)
            await device.start()
            await put(device, "a/c/new", at(10**6), b"new")
            await device.tidy(at(10**6))
            assert {path: await body_of(device, path) for path in PATHS} == found
            await device.close()


async def test_two_cuts_in_a_row() -> None:
    """What a first restart showed was made durable before it was shown."""
    chance = random.Random(7)
    files = MemoryFiles(recording=True)
    await work(files, chance, rounds=12)
    for steps in range(0, len(files.log), 5):
        disk, _ = files.after(steps, chance)
        for inode in disk.names.values():
            # A killed process rather than a lost disk: all is in memory still, nothing of it is durable for sure.
            if inode.data:
                inode.pending.append((0, bytes(inode.data)))
        found = await seen(disk)
        for name, inode in disk.names.items():
            if name.endswith(".vol") and any(body is not None for body in found.values()):
                listed = name.removesuffix(".vol") + ".idx" in disk.names
                assert listed or not inode.pending, "shown, and not synced"


async def test_after_a_failed_sync_a_volume_is_never_written_again() -> None:
    chance = random.Random(3)
    files = MemoryFiles(recording=True)
    failed: list[int] = []

    def fault(what: str) -> None:
        if what == "sync" and chance.random() < 0.05:
            failed.append(len(files.log))
            raise OSError(errno.EIO, "Input/output error")

    device = new_engine(files)
    await device.start()
    files.fault = fault
    outcomes = []
    for now in range(1, 150):
        promise = Promise(chance.choice(PATHS), now, chance.randbytes(300))
        files.mark(promise)
        try:
            await put(device, promise.path, at(now), promise.body or b"")
            files.mark(Promise(promise.path, now, promise.body, acknowledged=True))
            outcomes.append(True)
        except DeviceError as error:
            outcomes.append("Input/output error" not in str(error))
    files.fault = lambda what: None
    await device.close()
    assert failed
    assert outcomes.count(False) > 2
    for step in failed:
        before = [entry for entry in files.log[:step] if entry[0] == "write"]
        if before:
            last = before[-1][1]
            synced = any(entry[0] == "sync" and entry[1] is last for entry in files.log[step:])
            assert not synced, "a sync after one that failed proves nothing"
    for steps in range(0, len(files.log) + 1, 7):
        disk, marks = files.after(steps, chance)
        check(await seen(disk), marks, steps)


async def test_a_full_disk_says_so_and_takes_more_when_there_is_room() -> None:
    files = MemoryFiles()
    device = new_engine(files)
    await device.start()
    await put(device, PATHS[0], at(1), b"kept")

    def fault(what: str) -> None:
        if what == "write":
            raise OSError(errno.ENOSPC, "No space left on device")

    files.fault = fault
    for size in (10, 20_000):
        with pytest.raises(DeviceFull):
            await upload(device, PATHS[1], at(2), bytes(size))
    assert await body_of(device, PATHS[0]) == b"kept"
    files.fault = lambda what: None
    await put(device, PATHS[1], at(3), b"room")
    await device.close()
    assert (await seen(files))[PATHS[1]] == b"room"


async def test_rotten_bytes_are_noticed() -> None:
    files = MemoryFiles()
    device = new_engine(files)
    await device.start()
    await put(device, PATHS[0], at(1), b"sound" * 100)
    await device.close()
    (inode,) = [inode for name, inode in files.names.items() if name.endswith(".vol")]
    spot = inode.data.index(b"soundsound")
    device = new_engine(files)
    await device.start()
    inode.data[spot] ^= 4
    with pytest.raises(DeviceError, match="checksum"):
        await device.find(key_of(PATHS[0]))
    with pytest.raises(DeviceError):
        await device.update(key_of(PATHS[0]), at(2), lambda old: old)
    with pytest.raises(Missing):
        await device.update(key_of(PATHS[2]), at(2), lambda old: old)
    await device.close()


async def test_a_deletion_is_remembered_while_what_it_deleted_is_on_the_disk() -> None:
    files = MemoryFiles()
    device = new_engine(files)
    await device.start()
    await put(device, "a/c/gone", at(1), b"x" * 500)
    for n in range(4):  # keeps the first volume from being cleared
        await put(device, f"a/c/{n}", at(1), bytes(5000))
    for turn in range(8):
        await put(device, "a/c/8", at(2 + turn), bytes(5000))
        if not turn:
            await device.delete(key_of("a/c/gone"), "a/c/gone", at(3))
    assert await device.tidy(at(100)) > 0
    await device.close()
    device = new_engine(files)
    await device.start()
    version = await device.find(key_of("a/c/gone"))
    assert version is None or version.deleted
    await device.close()


async def test_a_volume_is_not_cleared_while_the_newest_of_a_key_in_it_is_rotten() -> None:
    """It rots before the volume is full: the list that is written then passes it over."""
    files = MemoryFiles()
    device = new_engine(files)
    await device.start()
    await put(device, PATHS[0], at(1), b"sound" * 100)
    (volume,) = [inode for name, inode in files.names.items() if name.endswith(".vol")]
    volume.data[volume.data.index(b"soundsound")] ^= 4
    for turn in range(8):
        await put(device, PATHS[1], at(2 + turn), bytes(5000))
    await device.tidy(at(100))
    with pytest.raises(DeviceError, match="checksum"):
        await device.find(key_of(PATHS[0]))
    await put(device, PATHS[0], at(50), b"again")
    freed = await device.tidy(at(100))
    assert freed > 0
    found = await device.find(key_of(PATHS[0]))
    assert found is not None
    assert found.body == b"again"
    await device.close()
