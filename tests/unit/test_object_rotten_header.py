"""A record whose very times have gone bad gives way like any other that is broken."""

from __future__ import annotations

import pytest

from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.record import HEADER_BYTES
from pileus.drivers.object.sim import MemoryFiles
from pileus.testing.contract.object.suite import at, body_of, key_of, put

POWER = 4


@pytest.mark.parametrize("spot", range(4, HEADER_BYTES))
async def test_what_is_summed_up_is_what_is_there(spot: int) -> None:
    files = MemoryFiles()
    device = ObjectEngine(files, suffix_power=12)
    await device.start()
    await put(device, "a/c/o", at(1), b"one")
    inode = next(inode for name, inode in files.names.items() if name.endswith(".vol"))
    inode.data[spot] ^= 0x40
    await put(device, "a/c/o", at(2), b"two")
    assert await body_of(device, "a/c/o") == b"two"
    sound = ObjectEngine(MemoryFiles(), suffix_power=12)
    await sound.start()
    await put(sound, "a/c/o", at(2), b"two")
    partition = key_of("a/c/o")[0] >> (8 - POWER)
    assert (await device.summaries(POWER))[partition] == (await sound.summaries(POWER))[partition]
    for each in (device, sound):
        await each.close()
