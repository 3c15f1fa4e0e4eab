"""What every object device keeps: see `ObjectDevice` for the promises.

A subclass's fixture `disk` makes devices over one and the same disk: `disk()` after `close` is a restart.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import md5

import pytest

from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import Missing, ObjectDevice, Superseded, Version

Disk = Callable[[], ObjectDevice]
LARGE = 3 * 1024 * 1024 + 17


def key_of(path: str) -> bytes:
    return md5(path.encode(), usedforsecurity=False).digest()


def at(seconds: float, offset: int = 0) -> Timestamp:
    return Timestamp(Timestamp.at(seconds).units, offset)


@asynccontextmanager
async def running(disk: Disk) -> AsyncIterator[ObjectDevice]:
    device = disk()
    await device.start(lambda version: None, "")
    try:
        yield device
    finally:
        await device.close()


async def put(device: ObjectDevice, path: str, when: Timestamp, body: bytes, metadata: bytes = b"m") -> None:
    await device.put(key_of(path), path, when, metadata, body)


async def upload(
    device: ObjectDevice, path: str, when: Timestamp, body: bytes, metadata: bytes = b"m"
) -> None:
    writer = device.writer(key_of(path), path)
    for start in range(0, len(body), 100_000):
        await writer.write(body[start : start + 100_000])
    await writer.finish(when, metadata)


async def body_of(
    device: ObjectDevice, path: str, offset: int = 0, length: int | None = None
) -> bytes | None:
    """None where there is no object."""
    version = await device.find(key_of(path))
    if version is None or version.deleted:
        return None
    assert version.path == path
    wanted = version.size_bytes - offset if length is None else length
    return b"".join([chunk async for chunk in device.read(key_of(path), version, offset, wanted)])


class ObjectDeviceContract:
    async def test_what_was_put_is_there_also_after_a_restart(self, disk: Disk) -> None:
        bodies = {f"a/c/o{n}": os.urandom(n * 997 % 9000) for n in range(200)}
        async with running(disk) as device:
            assert await device.find(key_of("a/c/o1")) is None
            await asyncio.gather(
                *(put(device, path, at(n + 1), body) for n, (path, body) in enumerate(bodies.items()))
            )
            for path, body in bodies.items():
                assert await body_of(device, path) == body
        async with running(disk) as device:
            for n, (path, body) in enumerate(bodies.items()):
                version = await device.find(key_of(path))
                assert version is not None
                assert (version.timestamp, version.changed, version.metadata) == (at(n + 1), at(n + 1), b"m")
                assert await body_of(device, path) == body

    @pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, 1024 * 1024, LARGE])
    async def test_any_size_and_any_part_of_it(self, disk: Disk, size: int) -> None:
        body = os.urandom(size)
        async with running(disk) as device:
            await upload(device, "a/c/big", at(1), body)
        async with running(disk) as device:
            assert await body_of(device, "a/c/big") == body
            for offset, length in ((0, 1), (size // 2, size // 3), (size - 1, 1)):
                if offset >= 0 and offset + length <= size:
                    assert await body_of(device, "a/c/big", offset, length) == body[offset : offset + length]

    async def test_changes_are_told_and_told_again_after_a_restart(self, disk: Disk) -> None:
        told: list[tuple[str, Timestamp, bool]] = []

        def hear(version: Version) -> None:
            told.append((version.path, version.changed, version.deleted))

        device = disk()
        await device.start(hear, "")
        await put(device, "a/c/1", at(1), b"x")
        mark = device.mark()
        await put(device, "a/c/2", at(2), b"x")
        await device.update(key_of("a/c/1"), at(3), lambda old: b"new")
        await device.delete(key_of("a/c/2"), "a/c/2", at(4))
        later = [("a/c/2", at(2), False), ("a/c/1", at(3), False), ("a/c/2", at(4), True)]
        assert told == [("a/c/1", at(1), False), *later]
        end = device.mark()
        await device.close()
        everything = list(told)
        for since, expected in ((mark, later), (end, []), ("", everything)):
            told.clear()
            device = disk()
            await device.start(hear, since)
            # Some again perhaps, and what was replaced since perhaps not.
            assert set(told) <= set(everything)
            newest = {path: (path, changed, deleted) for path, changed, deleted in expected}
            assert set(newest.values()) <= set(told)
            await device.close()

    async def test_the_later_timestamp_wins_in_any_order(self, disk: Disk) -> None:
        async with running(disk) as device:
            await put(device, "a/c/o", at(5), b"five")
            for when in (at(4), at(5)):
                with pytest.raises(Superseded) as caught:
                    await put(device, "a/c/o", when, b"old")
                assert caught.value.newest == at(5)
                with pytest.raises(Superseded):
                    await upload(device, "a/c/o", when, os.urandom(LARGE))
                with pytest.raises(Superseded):
                    await device.delete(key_of("a/c/o"), "a/c/o", when)
            assert await body_of(device, "a/c/o") == b"five"
            await put(device, "a/c/o", at(5, 1), b"offset")
            assert await body_of(device, "a/c/o") == b"offset"
            await device.delete(key_of("a/c/o"), "a/c/o", at(6))
            with pytest.raises(Superseded) as caught:
                await put(device, "a/c/o", at(6), b"late")
            assert caught.value.deleted
        async with running(disk) as device:
            assert await body_of(device, "a/c/o") is None
            await put(device, "a/c/o", at(7), b"again")
            assert await body_of(device, "a/c/o") == b"again"

    async def test_a_deletion_is_remembered_also_of_what_never_was(self, disk: Disk) -> None:
        async with running(disk) as device:
            await device.delete(key_of("a/c/o"), "a/c/o", at(9))
        async with running(disk) as device:
            version = await device.find(key_of("a/c/o"))
            assert version is not None
            assert version.deleted
            assert version.timestamp == at(9)
            with pytest.raises(Superseded):
                await put(device, "a/c/o", at(8), b"")

    @pytest.mark.parametrize("size", [10, LARGE])
    async def test_metadata_change_by_themselves(self, disk: Disk, size: int) -> None:
        body = os.urandom(size)
        async with running(disk) as device:
            await upload(device, "a/c/o", at(1), body, b"first")
            version = await device.update(key_of("a/c/o"), at(3), lambda old: old + b", second")
            assert (version.timestamp, version.changed) == (at(1), at(3))
            with pytest.raises(Superseded):
                await device.update(key_of("a/c/o"), at(2), lambda old: b"never")
            with pytest.raises(Missing):
                await device.update(key_of("a/c/other"), at(3), lambda old: old)
        async with running(disk) as device:
            found = await device.find(key_of("a/c/o"))
            assert found is not None
            assert (found.timestamp, found.changed, found.metadata) == (at(1), at(3), b"first, second")
            assert await body_of(device, "a/c/o") == body
            await device.delete(key_of("a/c/o"), "a/c/o", at(4))
            with pytest.raises(Missing) as caught:
                await device.update(key_of("a/c/o"), at(5), lambda old: old)
            assert caught.value.deleted_at == at(4)

    async def test_what_is_given_up_leaves_nothing(self, disk: Disk) -> None:
        async with running(disk) as device:
            await put(device, "a/c/o", at(1), b"kept")
            writer = device.writer(key_of("a/c/o"), "a/c/o")
            await writer.write(os.urandom(LARGE))
            await writer.abort()
            assert await body_of(device, "a/c/o") == b"kept"

    async def test_a_reader_keeps_its_version(self, disk: Disk) -> None:
        body = os.urandom(LARGE)
        async with running(disk) as device:
            await upload(device, "a/c/o", at(1), body)
            version = await device.find(key_of("a/c/o"))
            assert version is not None
            chunks = device.read(key_of("a/c/o"), version, 0, LARGE)
            begun = await anext(chunks)
            await device.delete(key_of("a/c/o"), "a/c/o", at(2))
            await device.tidy(at(3))
            assert begun + b"".join([chunk async for chunk in chunks]) == body

    async def test_many_writers_of_one_name_leave_the_latest(self, disk: Disk) -> None:
        async with running(disk) as device:
            outcomes = await asyncio.gather(
                *(put(device, "a/c/o", at(1 + n * 7 % 50), b"%d" % (n * 7 % 50)) for n in range(50)),
                return_exceptions=True,
            )
            assert all(outcome is None or isinstance(outcome, Superseded) for outcome in outcomes)
            assert await body_of(device, "a/c/o") == b"49"
        async with running(disk) as device:
            assert await body_of(device, "a/c/o") == b"49"

    async def test_a_caller_that_goes_away_stops_nothing_half(self, disk: Disk) -> None:
        async with running(disk) as device:
            tasks = [asyncio.ensure_future(put(device, f"a/c/{n}", at(1), b"x" * 5000)) for n in range(20)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for n in range(20):
                await put(device, f"a/c/{n}", at(2), b"y")
                assert await body_of(device, f"a/c/{n}") == b"y"

    async def test_one_at_a_time_claims_a_name(self, disk: Disk) -> None:
        key = key_of("a/c/o")
        async with running(disk) as device:
            assert await device.claim(key, b"one", at(5), 60)
            assert await device.claim(key, b"one", at(5), 60), "it has it"
            assert not await device.claim(key, b"another", at(6), 60)
            assert await device.claim(key_of("a/c/other"), b"another", at(6), 60)
            await put(device, "a/c/o", at(4), b"without")
            assert not await device.release(key, b"another")
            assert await device.release(key, b"one")
            assert not await device.release(key, b"one")
            answers = await asyncio.gather(*(device.claim(key, b"%d" % n, at(5), 60) for n in range(8)))
            assert answers.count(True) <= 1

    async def test_whose_time_is_over_has_no_claim(self, disk: Disk) -> None:
        key = key_of("a/c/o")
        async with running(disk) as device:
            assert await device.claim(key, b"dead", at(5), -1)
            assert await device.release(key, b"dead"), "nobody else had it"
            assert await device.claim(key, b"dead", at(5), -1)
            with pytest.raises(Superseded) as newer:
                await device.claim(key, b"another", at(5), 60)
            assert newer.value.newest == at(5), "what the first wrote would win"
            assert await device.claim(key, b"another", at(6), 60)
            assert not await device.release(key, b"dead")
            assert await device.release(key, b"another")

    async def test_tidying_frees_what_is_of_no_use_and_nothing_else(self, disk: Disk) -> None:
        async with running(disk) as device:
            for turn in range(6):
                await asyncio.gather(
                    *(put(device, f"a/c/{n}", at(1 + turn), os.urandom(40_000)) for n in range(40))
                )
            kept = {n: await body_of(device, f"a/c/{n}") for n in range(30)}
            for n in range(30, 40):
                await device.delete(key_of(f"a/c/{n}"), f"a/c/{n}", at(10))
            assert await device.tidy(at(5)) > 0
        async with running(disk) as device:
            await device.tidy(at(20))
            for n in range(40):
                assert await body_of(device, f"a/c/{n}") == kept.get(n)
        async with running(disk) as device:
            for n in range(40):
                assert await body_of(device, f"a/c/{n}") == kept.get(n)
