"""An object store on folders of this host: what the first start decided holds for all later ones."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pileus.app.objects import ObjectStore, object_store
from pileus.drivers.object.cluster.local import kept_ring
from pileus.drivers.object.engine import ObjectEngine
from pileus.kernel.clock import SystemClock
from pileus.kernel.config import ConfigError
from pileus.lib.ring import Ring, decode
from pileus.services.object_store.settings import Settings
from pileus.testing.contract.object.suite import at, body_of, key_of, put


def homes(ring: Ring) -> list[set[int]]:
    return [{device.id for device in ring.primaries(number)} for number in range(ring.partitions)]


def test_more_devices_move_as_little_as_needed(tmp_path: Path) -> None:
    file = tmp_path / "object.builder"
    first = homes(kept_ring(file, 3, None))
    assert homes(kept_ring(file, 3, None)) == first
    grown = kept_ring(file, 5, None)
    for before, after in zip(first, homes(grown), strict=True):
        assert len(after) == 3
        assert before & after, "found where it was, until it is where it ought to be"
    saved = decode((tmp_path / "object.ring.gz").read_bytes())
    assert homes(saved) == homes(grown)
    assert all(len(each) == 2 for each in homes(kept_ring(file, 5, 2)))
    assert all(len(each) == 2 for each in homes(kept_ring(file, 5, None))), "as at the last start"
    with pytest.raises(ValueError, match="more than 4"):
        kept_ring(file, 4, None)


@asynccontextmanager
async def opened(settings: Settings, folder: Path) -> AsyncIterator[ObjectStore]:
    made = object_store(settings, folder, SystemClock())
    await made.devices[0].start(lambda version: None, "")
    try:
        yield made
    finally:
        await made.devices[0].close()


def secret(made: ObjectStore) -> tuple[str, str]:
    return made.settings.hash_prefix, made.settings.hash_suffix


async def test_what_was_decided_once_holds_with_the_settings_left_out(tmp_path: Path) -> None:
    async with opened(Settings(devices=3, replicas=2), tmp_path) as store:
        drawn = secret(store)
        await put(store.devices[0], "a/c/o", at(1), b"body")
    async with opened(Settings(), tmp_path) as store:
        assert secret(store) == drawn
        assert all(drawn)
        assert await body_of(store.devices[0], "a/c/o") == b"body"
    for wrong in (Settings(devices=2), Settings(hash_suffix="another")):
        with pytest.raises(ConfigError):
            object_store(wrong, tmp_path, SystemClock())
    assert secret(object_store(Settings(), tmp_path / "other", SystemClock())) != drawn


def test_more_replicas_than_devices_are_refused(tmp_path: Path) -> None:
    """The message has the cause, and both ways out."""
    for settings, devices, replicas in (
        (Settings(devices=3, replicas=5), 3, 5),
        (Settings(replicas=2), 1, 2),
    ):
        with pytest.raises(ConfigError) as refused:
            object_store(settings, tmp_path, SystemClock())
        assert f"replicas is {replicas}, and {devices} device" in str(refused.value)
        assert f"(--devices) to {replicas} or more" in str(refused.value)
        assert f"(--replicas) to {devices} or fewer" in str(refused.value)
        assert not list(tmp_path.glob("device-*")), "nothing was begun"
    object_store(Settings(devices=3, replicas=3), tmp_path, SystemClock())
    with pytest.raises(ConfigError, match="3 devices are there"):
        object_store(Settings(replicas=4), tmp_path, SystemClock())


@pytest.mark.slow
async def test_a_single_device_becomes_several(tmp_path: Path) -> None:
    bodies = {f"a/c/{n}": os.urandom(n * 10) for n in range(40)} | {"a/c/big": os.urandom(600_000)}
    async with opened(Settings(), tmp_path) as store:
        for path, body in bodies.items():
            await put(store.devices[0], path, at(1), body)
    async with opened(Settings(devices=3, replicas=2), tmp_path) as store:
        for turn in range(3):
            for path, body in bodies.items():
                assert await body_of(store.devices[0], path) == body
            counts = (await store.daemons.run_once("object-replicator")).counts
            assert bool(counts.get("pushed")) == (turn == 0)
    members = [ObjectEngine.on_host(tmp_path / f"device-{number + 1}") for number in range(3)]
    for member in members:
        await member.start()
    for path in bodies:
        held = [await member.find(key_of(path)) is not None for member in members]
        assert held.count(True) == 2, path
    for member in members:
        await member.close()
