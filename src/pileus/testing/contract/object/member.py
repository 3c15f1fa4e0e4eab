"""What every member of a ring of devices keeps, beyond what every device does: see `Member`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from pileus.drivers.object.cluster.member import Member, Stamp
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, Missing, Superseded, Version
from pileus.testing.contract.object.suite import LARGE, at, body_of, key_of

Members = Callable[[], Member]
POWER = 4


def version_of(
    path: str, when: Timestamp, changed: Timestamp, body: bytes | None, metadata: bytes = b"m"
) -> Version:
    return Version(path, when, changed, len(body or b""), metadata, False, body)


def deletion_of(path: str, when: Timestamp) -> Version:
    return Version(path, when, when, 0, b"", True, None)


@asynccontextmanager
async def running(members: Members) -> AsyncIterator[Member]:
    member = members()
    await member.start(lambda version: None, "")
    try:
        yield member
    finally:
        await member.close()


async def store(member: Member, version: Version) -> None:
    await member.store(key_of(version.path), version)


async def upload(member: Member, version: Version, body: bytes) -> None:
    writer = member.writer(key_of(version.path), version.path)
    for start in range(0, len(body), 500_000):
        await writer.write(body[start : start + 500_000])
    await writer.finish(version.timestamp, version.metadata, version.changed)


async def every_stamp(member: Member) -> dict[bytes, Stamp]:
    found: dict[bytes, Stamp] = {}
    for partition in await member.summaries(POWER):
        found |= await member.stamps(POWER, partition)
    return found


class MemberContract:
    """A subclass's fixture `members` makes members over one and the same disk; `spoil` turns bytes of it over."""

    @pytest.fixture
    def spoil(self) -> Callable[[bytes], None]:
        """Changes the bytes on the disk that begin so, wherever they are."""
        raise NotImplementedError

    async def test_a_version_keeps_both_its_timestamps(self, members: Members) -> None:
        big = os.urandom(LARGE)
        async with running(members) as member:
            await store(member, version_of("a/c/small", at(1), at(3), b"body"))
            await upload(member, version_of("a/c/big", at(1), at(4), None), big)
            await store(member, deletion_of("a/c/gone", at(5)))
        async with running(members) as member:
            assert await member.peek(key_of("a/c/small")) == Stamp(at(1), at(3))
            assert await member.peek(key_of("a/c/big")) == Stamp(at(1), at(4))
            assert await member.peek(key_of("a/c/gone")) == Stamp(at(5), at(5), True)
            assert await member.peek(key_of("a/c/never")) is None
            assert await body_of(member, "a/c/small") == b"body"
            assert await body_of(member, "a/c/big") == big
            for stamp in ((at(1), at(3)), (at(1), at(2))):
                with pytest.raises(Superseded):
                    await store(member, version_of("a/c/small", *stamp, b"other"))
            await store(member, version_of("a/c/small", at(1), at(4), b"body", b"newer"))
            found = await member.find(key_of("a/c/small"))
            assert found is not None
            assert (found.metadata, found.changed) == (b"newer", at(4))

    @pytest.mark.parametrize("size", [10, LARGE])
    async def test_metadata_come_alone_where_the_data_are(self, members: Members, size: int) -> None:
        body = os.urandom(size)
        async with running(members) as member:
            with pytest.raises(Missing):
                await store(member, version_of("a/c/o", at(2), at(5), None, b"new"))
            await upload(member, version_of("a/c/o", at(1), at(1), None), body)
            with pytest.raises(Missing):
                await store(member, version_of("a/c/o", at(2), at(5), None, b"new"))
            await store(member, version_of("a/c/o", at(1), at(5), None, b"new"))
            with pytest.raises(Superseded):
                await store(member, version_of("a/c/o", at(1), at(4), None, b"late"))
            found = await member.find(key_of("a/c/o"))
            assert found is not None
            assert (found.metadata, found.timestamp, found.changed) == (b"new", at(1), at(5))
            assert found.size_bytes == size
            assert await body_of(member, "a/c/o") == body
            await store(member, deletion_of("a/c/o", at(7)))
            with pytest.raises(Superseded):
                await store(member, version_of("a/c/o", at(1), at(9), None))
            with pytest.raises(Missing):
                await store(member, version_of("a/c/o", at(8), at(9), None))

    async def test_summaries_are_equal_where_contents_are(self, members: Members) -> None:
        expected: dict[bytes, Stamp] = {}
        async with running(members) as member:
            assert await member.summaries(POWER) == {}
            for n in range(60):
                await store(member, version_of(f"a/c/{n}", at(1), at(1), b"x" * n))
                expected[key_of(f"a/c/{n}")] = Stamp(at(1), at(1))
            before = dict(await member.summaries(POWER))
            assert await every_stamp(member) == expected
            await store(member, deletion_of("a/c/7", at(2)))
            await store(member, version_of("a/c/8", at(1), at(2), None))
            expected[key_of("a/c/7")] = Stamp(at(2), at(2), True)
            expected[key_of("a/c/8")] = Stamp(at(1), at(2))
            after = dict(await member.summaries(POWER))
            changed = {partition for partition in after if after[partition] != before[partition]}
            assert changed == {key_of(f"a/c/{n}")[0] >> 8 - POWER for n in (7, 8)}
            for partition, summary in after.items():
                suffixes = await member.suffixes(POWER, partition)
                together = 0
                for number in suffixes.values():
                    together ^= number
                assert together == summary
                for suffix in suffixes:
                    assert await member.stamps(POWER, partition, [suffix])
        async with running(members) as member:
            assert await member.summaries(POWER) == after
            assert await every_stamp(member) == expected

    @pytest.mark.parametrize("size", [10, LARGE])
    async def test_what_is_dropped_is_gone_and_may_come_back(self, members: Members, size: int) -> None:
        body, stamp = os.urandom(size), Stamp(at(1), at(2))
        version = version_of("a/c/o", at(1), at(2), None)
        key = key_of("a/c/o")
        async with running(members) as member:
            await upload(member, version, body)
            assert not await member.drop(key, Stamp(at(1), at(1)))
            assert await member.drop(key, stamp)
            assert not await member.drop(key, stamp)
            assert await member.find(key) is None
        async with running(members) as member:
            assert await member.peek(key) is None
            assert await every_stamp(member) == {}
            assert await member.summaries(POWER) == {}
            with pytest.raises(Superseded):
                await store(member, version_of("a/c/o", at(1), at(1), b"older"))
            await upload(member, version, body)
            assert await body_of(member, "a/c/o") == body
        async with running(members) as member:
            assert await body_of(member, "a/c/o") == body
            assert await member.tidy(at(100)) >= 0
        async with running(members) as member:
            assert await every_stamp(member) == {key: stamp}

    @pytest.mark.parametrize("size", [1000, LARGE])
    async def test_what_is_broken_is_found_and_can_be_restored(
        self, members: Members, spoil: Callable[[bytes], None], size: int
    ) -> None:
        body = os.urandom(size)
        version, key = version_of("a/c/o", at(1), at(2), None), key_of("a/c/o")
        async with running(members) as member:
            await upload(member, version, body)
            await store(member, version_of("a/c/sound", at(1), at(1), b"sound"))
            whole = dict(await member.summaries(POWER))
            assert await member.check(key) == size
            spoil(body[-100:])
            with pytest.raises(DeviceError):
                await member.check(key)
            for _ in range(2):
                with pytest.raises(DeviceError):
                    await member.find(key)
                with pytest.raises(DeviceError):
                    await member.peek(key)
                assert list(await every_stamp(member)) == [key_of("a/c/sound")]
            await upload(member, version, body)
            assert await body_of(member, "a/c/o") == body
            assert await member.check(key) == size
            assert await member.summaries(POWER) == whole
        async with running(members) as member:
            assert await body_of(member, "a/c/o") == body
            assert await body_of(member, "a/c/sound") == b"sound"
            assert await member.summaries(POWER) == whole

    async def test_a_future_that_is_cancelled_stops_nothing(self, members: Members) -> None:
        async with running(members) as member:
            for n in range(3):
                asked = [
                    member.store(key_of("a/c/o"), version_of("a/c/o", at(n + 1), at(n + 1), b"%d" % n))
                    for _ in range(3)
                ]
                for each in asked:
                    each.cancel()
                await asyncio.gather(*asked, return_exceptions=True)
            with pytest.raises(Superseded):
                await store(member, version_of("a/c/o", at(3), at(3), b"again"))
            assert await body_of(member, "a/c/o") == b"2"

    async def test_it_knows_its_room(self, members: Members) -> None:
        async with running(members) as member:
            await store(member, version_of("a/c/o", at(1), at(1), b"x"))
            found = await member.capacity()
            assert 0 < found.free_bytes <= found.total_bytes
            assert found.objects == 1
