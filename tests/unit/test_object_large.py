"""Large objects on their way to a device."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from pileus.drivers.object import large as large_module
from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.sim import MemoryFiles
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceFull
from pileus.testing.contract.object.suite import body_of, key_of

from ..object_host_disk import FaultyFiles

PATH = "a/c/o"


async def test_what_is_written_before_the_loop_hears_of_it_is_waited_for_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The end comes between a block's being written and the loop's turn to say so: it once waited for ever, and the loop too."""

    async def at_once(work: Callable[..., object], *given: object) -> object:
        return work(*given)

    monkeypatch.setattr(large_module, "WRITE_BYTES", 1000)
    monkeypatch.setattr(large_module.asyncio, "to_thread", at_once)
    engine = ObjectEngine(MemoryFiles())
    await engine.start()
    writer = engine.writer(key_of(PATH), PATH)
    await writer.write(b"x" * 1000)
    await asyncio.sleep(0)
    await writer.finish(Timestamp(1), b"")
    assert await body_of(engine, PATH) == b"x" * 1000
    await engine.close()


async def test_of_what_could_not_be_written_nothing_is_left_in_the_way(tmp_path: Path) -> None:
    def full(what: str) -> None:
        if what == "write":
            raise OSError(errno.ENOSPC, "no room")

    files = FaultyFiles(tmp_path)
    engine = ObjectEngine(files)
    await engine.start()
    files.fault = full
    with pytest.raises(DeviceFull):
        await engine.put(key_of(PATH), PATH, Timestamp(1), b"", bytes(2 * large_module.WRITE_BYTES))
    assert files.names_in(large_module.ARRIVING) == []
    await engine.close()
