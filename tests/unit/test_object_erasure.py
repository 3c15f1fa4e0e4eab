"""Erasure coding: any fragments that are enough give the object back, and what has no quorum is never seen."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.drivers.object.erasure.archive import archive_key
from pileus.drivers.object.erasure.code import Scheme, Unusable, best, code_of
from pileus.drivers.object.erasure.device import ErasureDevice
from pileus.lib.ring.affinity import nearness
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, DeviceFull
from pileus.testing.contract.object.suite import at, body_of, key_of, put, upload
from tests.erasure_rig import SEGMENT, Rig

SCHEMES = st.sampled_from([(4, 2), (2, 1), (3, 3), (10, 4), (1, 2)])
SIZES = st.sampled_from([1, 7, 1023, 1025, 4096, SEGMENT - 1, SEGMENT])


@settings(max_examples=150, deadline=None)
@given(SCHEMES, SIZES, st.data())
def test_any_data_fragments_decode(shape: tuple[int, int], size: int, data: st.DataObject) -> None:
    code = code_of(Scheme(best(), *shape, SEGMENT))
    segment = random.Random(size).randbytes(size)
    fragments = code.encode(segment)
    assert len(fragments) == sum(shape)
    assert {len(each) for each in fragments} == {code.fragment_bytes(size)}
    assert all(code.is_whole(each, index) for index, each in enumerate(fragments))
    chosen = data.draw(st.permutations(range(sum(shape))))[: shape[0]]
    there = {index: fragments[index] for index in chosen}
    assert code.decode(there) == segment
    lost = [index for index in range(sum(shape)) if index not in there]
    assert code.rebuild(there, lost) == [fragments[index] for index in lost]


@settings(max_examples=60, deadline=None)
@given(SCHEMES, SIZES, st.data())
def test_a_broken_fragment_is_known_as_one(shape: tuple[int, int], size: int, data: st.DataObject) -> None:
    code = code_of(Scheme(best(), *shape, SEGMENT))
    fragment = code.encode(random.Random(size).randbytes(size))[1]
    place = data.draw(st.integers(0, len(fragment) - 1))
    broken = bytearray(fragment)
    broken[place] ^= 1 << data.draw(st.integers(0, 7))
    # The header's last bytes, the library's version and padding, are not under its checksum.
    assert not code.is_whole(bytes(broken), 1) or 63 <= place < 80
    assert not code.is_whole(fragment, 0)
    assert not code.is_whole(fragment[:-1], 1)
    assert not code.is_whole(b"", 1)


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        (Scheme("no_such_code", 4, 2, SEGMENT), "there is no code 'no_such_code' on this host; there are"),
        (Scheme("isa_l_rs_vand", 10, 5, SEGMENT), "loses data"),
        (Scheme(best(), 200, 57, SEGMENT), "can't do 200\\+57"),
    ],
)
def test_codes_that_cannot_be_used(scheme: Scheme, words: str) -> None:
    with pytest.raises(Unusable, match=words):
        code_of(scheme)


@asynccontextmanager
async def running(rig: Rig, **more: float) -> AsyncIterator[ErasureDevice]:
    device = rig.device(**more)
    await device.start(lambda version: None, "")
    try:
        yield device
    finally:
        for member in rig.members.values():
            member.away = member.hangs = False
        await device.close()


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5 * 1024), st.integers(0, 5 * 1024), st.integers(1, 5 * 1024), st.integers(0, 14))
def test_ranges_are_those_of_the_bytes(size: int, offset: int, length: int, away: int) -> None:
    body = random.Random(size).randbytes(size)

    async def story() -> None:
        rig = Rig(4, 2, 6, segment_bytes=1024)
        async with running(rig, inline_bytes=0) as device:
            await upload(device, "a/c/o", at(1), body)
            for number in {away % 6, away // 3}:
                rig.members[number].away = True
            assert await body_of(device, "a/c/o", offset, length) == body[offset : offset + length]

    asyncio.run(story())


async def test_two_of_six_may_be_away_or_broken_while_it_is_read() -> None:
    rig = Rig(4, 2, 6)
    body = os.urandom(20 * SEGMENT + 5)
    async with running(rig) as device:
        await upload(device, "a/c/o", at(1), body)
        version = await device.find(key_of("a/c/o"))
        assert version is not None
        got = bytearray()
        async for chunk in device.read(key_of("a/c/o"), version, 0, len(body)):
            got += chunk
            if len(got) == 3 * SEGMENT:
                rig.members[0].away = True
            if len(got) == 9 * SEGMENT:
                rig.members[3].away = True
        assert bytes(got) == body
        rig.members[5].away = True
        with pytest.raises(DeviceError, match="3 of 6 fragments can be read, 4 must be"):
            await body_of(device, "a/c/o")


@pytest.mark.slow
async def test_who_does_not_answer_is_not_waited_for() -> None:
    rig = Rig(4, 2, 6)
    body = os.urandom(3 * SEGMENT)
    async with running(rig, hedge_seconds=0.02, patience_seconds=1, grace_seconds=0.02) as device:
        await upload(device, "a/c/o", at(1), body)
        for number in (1, 2):
            rig.members[number].hangs = True
            assert await body_of(device, "a/c/o") == body
        rig.members[1].hangs = False
        await upload(device, "a/c/o", at(2), body[1:])
        assert await body_of(device, "a/c/o") == body[1:]


async def test_a_write_without_a_quorum_is_never_seen_and_loses_nothing() -> None:
    rig = Rig(4, 2, 6)
    old, new = os.urandom(3 * SEGMENT), os.urandom(3 * SEGMENT)
    async with running(rig) as device:
        for body, store in ((old, upload), (old[:3000], put)):
            when = at(1) if store is upload else at(10)
            await store(device, "a/c/o", when, body)
            await device.tidy(at(0))
            rig.members[0].away = rig.members[4].away = True
            with pytest.raises(DeviceError, match="4 of 6 fragments can be stored, 5 must be"):
                await store(device, "a/c/o", Timestamp(when.units + 1), new[: len(body)])
            assert await body_of(device, "a/c/o") == body
            rig.members[0].away = rig.members[4].away = False
            assert await body_of(device, "a/c/o") == body
            await device.tidy(at(0))
            assert len(await rig.archives()) == 1, "what came to no end leaves nothing"


async def test_full_disks_say_so_and_others_stand_in() -> None:
    rig = Rig(4, 2, 8)
    body = os.urandom(9000)
    async with running(rig) as device:
        key = key_of("a/c/o")
        at_home = rig.belong(archive_key(key, b"", 0)[:10])
        for index in (0, 1):
            rig.fill(at_home[index][0])
        await put(device, "a/c/o", at(1), body)
        (write,) = (await rig.archives()).values()
        assert sorted(write) == [0, 1, 2, 3, 4, 5], "handoffs have what was meant for the full ones"
        for number in range(8):
            rig.fill(number)
        with pytest.raises(DeviceFull, match="the disk is full"):
            await put(device, "a/c/p", at(1), body)
        assert await body_of(device, "a/c/o") == body
        for number in range(8):
            rig.fill(number, full=False)


@pytest.mark.slow
async def test_small_bodies_are_in_the_record() -> None:
    rig = Rig(4, 2, 6)
    async with running(rig) as device:
        for size in (0, 1, 1024):
            await put(device, f"a/c/{size}", at(1), b"x" * size)
            assert await body_of(device, f"a/c/{size}") == b"x" * size
        assert await rig.archives() == {}
        await put(device, "a/c/1", at(2), b"x" * 1025)
        assert len(await rig.archives()) == 1
        await put(device, "a/c/1", at(3), b"")
        await device.tidy(at(0))
        assert await rig.archives() == {}


async def test_what_is_replaced_goes_when_its_last_reader_is_done() -> None:
    rig = Rig(2, 1, 3)
    body = os.urandom(8 * SEGMENT)
    async with running(rig) as device:
        await upload(device, "a/c/o", at(1), body)
        version = await device.find(key_of("a/c/o"))
        assert version is not None
        chunks = device.read(key_of("a/c/o"), version, 0, len(body))
        first = await anext(chunks)
        await upload(device, "a/c/o", at(2), b"x" * 5000)
        await device.tidy(at(0))
        rig.members[0].away = True  # a parity fragment of the old one is opened only now
        assert first + b"".join([chunk async for chunk in chunks]) == body
        rig.members[0].away = False
        await device.tidy(at(0))
        assert len(await rig.archives()) == 1


async def test_readers_go_to_the_near_ones() -> None:
    rig = Rig(2, 2, 4)
    body = os.urandom(3 * SEGMENT)
    async with running(rig) as device:
        await upload(device, "a/c/o", at(1), body)
        await put(device, "a/c/small", at(1), body[:9000])
    rig.near = nearness("r1z1=1, r1z3=2")  # zones are numbered as members are
    async with running(rig) as device:
        rig.members[0].away = rig.members[2].away = True
        asked = [rig.members[number].asked for number in (0, 2)]
        assert await body_of(device, "a/c/o") == body
        assert await body_of(device, "a/c/small") == body[:9000]
        assert [rig.members[number].asked for number in (0, 2)] == asked


async def test_a_disk_that_does_not_start_is_passed_over() -> None:
    rig = Rig(2, 1, 4)
    body = os.urandom(9000)
    async with running(rig) as device:
        await put(device, "a/c/o", at(1), body)
        mark = device.mark()
    device = rig.device()
    rig.members[1].away = True
    await device.start(lambda version: None, mark)
    assert await body_of(device, "a/c/o") == body
    await put(device, "a/c/o", at(2), b"x" * 5000)
    await device.close()
