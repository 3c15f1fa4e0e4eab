"""Large objects as open files, which the kernel can send from."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.sim import MemoryFiles
from pileus.services.object_store.driver import DeviceError, ObjectDevice, OnFiles, Version
from pileus.testing.contract.object.suite import at, key_of, put
from pileus.testing.waiting import until

LARGE = os.urandom(3_000_000)


async def found(device: ObjectDevice) -> Version:
    version = await device.find(key_of("a/c/o"))
    assert version is not None
    return version


async def test_a_version_that_is_opened_stays_readable_whatever_happens_to_the_object(tmp_path: Path) -> None:
    device = ObjectEngine.on_host(tmp_path)
    assert isinstance(device, OnFiles)
    await device.start(lambda version: None, "")
    try:
        await put(device, "a/c/o", at(1), LARGE)
        version = await found(device)
        file = device.opened(key_of("a/c/o"), version)
        assert file is not None
        with closing(file):
            await device.delete(key_of("a/c/o"), "a/c/o", at(2))
            assert os.pread(file.fileno(), len(LARGE), 0) == LARGE

        def is_gone() -> bool:
            try:
                again = device.opened(key_of("a/c/o"), version)
            except DeviceError:
                return True
            assert again is not None
            again.close()
            return False

        await until(is_gone)
        await put(device, "a/c/o", at(3), b"small")
        assert device.opened(key_of("a/c/o"), await found(device)) is None, "it lies among others"
    finally:
        await device.close()


async def test_what_is_in_memory_has_no_file() -> None:
    device = ObjectEngine(MemoryFiles())
    await device.start(lambda version: None, "")
    try:
        await put(device, "a/c/o", at(1), LARGE)
        assert device.opened(key_of("a/c/o"), await found(device)) is None
    finally:
        await device.close()
