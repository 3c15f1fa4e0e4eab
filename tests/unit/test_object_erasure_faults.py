"""Members die, fill up and rot while clients write: what was acknowledged is read back, and all is as it ought to be
after healing."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain

import pytest

from pileus.drivers.object.cluster.replicator import Replicator
from pileus.drivers.object.erasure.device import ErasureDevice
from pileus.drivers.object.erasure.reconstructor import UNFINISHED_SECONDS, Reconstructor
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.daemons import Daemons
from pileus.services.object_store.driver import RECLAIM_SECONDS, DeviceError, Missing, Superseded
from pileus.testing.clock import FakeClock
from pileus.testing.contract.object.suite import body_of, key_of
from tests.erasure_rig import Rig

MEMBERS, PARITY = 8, 2
ROUNDS, OPERATIONS = 5, 30
NAMES = [f"a/c/{number}" for number in range(12)]
Body = bytes | None


class Story:
    """Clients that remember what they were told."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.rig = Rig(4, PARITY, MEMBERS, segment_bytes=16 * 1024, power=2)
        self.device: ErasureDevice = self.rig.device(grace_seconds=0.05)
        self.now = Timestamp.at(1e9).units
        self.may_be: dict[str, list[Body]] = {name: [None] for name in NAMES}
        """What was acknowledged last, and what came after it without an answer."""
        self.hurt: set[int] = set()

    def later(self) -> Timestamp:
        self.now += 1
        return Timestamp(self.now)

    async def operate(self) -> None:
        name = self.chance.choice(NAMES)
        kind = self.chance.choice(("put", "put", "upload", "upload", "delete", "update", "get"))
        if kind == "get":
            await self.check(name)
            return
        body = None
        if kind in ("put", "upload"):
            body = self.chance.randbytes(self.chance.choice((0, 500, 1500, 16_384, 50_000, 1_400_000)))
        try:
            if kind == "update":
                try:
                    await self.device.update(key_of(name), self.later(), lambda old: b"changed")
                except Missing:
                    assert None in self.may_be[name]
                return
            await self.write(kind, name, body)
            self.may_be[name] = [body]
        except Superseded:
            raise AssertionError("nobody else writes") from None
        except DeviceError:
            self.may_be[name].append(body)

    async def write(self, kind: str, name: str, body: Body) -> None:
        if body is None:
            await self.device.delete(key_of(name), name, self.later())
        elif kind == "put":
            await self.device.put(key_of(name), name, self.later(), b"m", body)
        else:
            writer = self.device.writer(key_of(name), name)
            try:
                for start in range(0, len(body), 100_000):
                    await writer.write(body[start : start + 100_000])
                    if self.chance.random() < 0.1:
                        self.hurt_somebody()
                await writer.finish(self.later(), b"m")
            except BaseException:
                await writer.abort()
                raise

    async def check(self, name: str) -> None:
        assert await body_of(self.device, name) in self.may_be[name], name

    def hurt_somebody(self) -> None:
        """As many as may be lost: `PARITY` until the next healing."""
        if len(self.hurt) == PARITY:
            return
        number = self.chance.choice([each for each in range(MEMBERS) if each not in self.hurt])
        self.hurt.add(number)
        how = self.chance.choice(("away", "full", "rot"))
        if how == "away":
            self.rig.send_away(number)
        elif how == "full":
            self.rig.fill(number)
        else:
            self.rot(number)

    def rot(self, number: int) -> None:
        """Bits flip in large files; what is in volumes is under the records' checksums."""
        for name, inode in self.rig.disks[number].names.items():
            if name.startswith("large/") and inode.data:
                inode.data[self.chance.randrange(len(inode.data))] ^= 0xFF

    async def heal(self) -> dict[str, int]:
        """All are back, and what the passes do has been done; returns what the reconstructor counted."""
        for number in self.hurt:
            self.rig.send_away(number, away=False)
            self.rig.fill(number, full=False)
        self.hurt.clear()
        await self.device.tidy(Timestamp(0))
        await self.audit()
        # So late that what came to no end counts as such.
        clock = FakeClock(
            datetime.fromtimestamp(Timestamp(self.now).seconds + UNFINISHED_SECONDS + 1, UTC), auto=True
        )
        daemons = Daemons(clock)
        records = self.rig.record_members
        daemons.add(Replicator(self.rig.records.placement, records, clock, RECLAIM_SECONDS))
        daemons.add(Reconstructor(self.device, records, clock))
        await daemons.run_once("object-replicator")
        assert not daemons.progress["object-replicator"].counts.get("failures")
        await daemons.run_once("object-reconstructor")
        assert not daemons.progress["object-reconstructor"].counts.get("failed")
        return daemons.progress["object-reconstructor"].counts

    async def audit(self) -> None:
        """Each member looks through its own, and puts aside what is broken."""
        for start, by_index in (await self.rig.archives()).items():
            for index, ids in by_index.items():
                for id_ in ids:
                    with suppress(DeviceError):
                        await self.rig.members[id_].check(start + bytes((index,)))

    async def all_is_well(self) -> None:
        there = await self.rig.archives()
        wanted = 0
        for name in NAMES:
            await self.check(name)
            version = await self.device.find(key_of(name))
            wanted += version is not None and not version.deleted and version.body is None
        assert there == {start: self.rig.belong(start) for start in there}
        assert len(there) == wanted


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
async def test_nothing_acknowledged_is_lost(seed: int) -> None:
    story = Story(seed)
    await story.device.start(lambda version: None, "")
    counted: Counter[str] = Counter()
    for _ in range(ROUNDS):
        for _ in range(OPERATIONS):
            if story.chance.random() < 0.1:
                story.hurt_somebody()
            await story.operate()
        for name in NAMES:
            await story.check(name)
        counted.update(await story.heal())
        await story.all_is_well()
    assert counted["rebuilt"]
    assert counted["moved"]
    await story.device.close()


async def test_each_partition_is_one_processs_to_look_after() -> None:
    rig = Rig(2, 1, 5, power=4)
    device = rig.device()
    await device.start(lambda version: None, "")
    walked: list[set[int]] = []
    for away in ((), (0, 3)):
        for number in range(5):
            rig.members[number].away = number in away
        there = [number for number in range(5) if number not in away]
        for number in there:
            reconstructor = Reconstructor(device, {}, FakeClock(), local=[number])
            walked.append({p for p in range(16) if reconstructor._is_mine(p, set(away))})
        assert sorted(chain.from_iterable(walked)) == list(range(16))
        walked.clear()
    for number in range(5):
        rig.members[number].away = False
    await device.close()


async def test_another_ring_finds_what_was_and_moves_it() -> None:
    rig = Rig(2, 1, 4)
    bodies = {name: random.Random(name).randbytes(5000) for name in NAMES}
    device = rig.device()
    await device.start(lambda version: None, "")
    for name, body in bodies.items():
        await device.put(key_of(name), name, Timestamp.at(1e9), b"m", body)
    await device.close()
    rig.lay_ring(seed=7)
    device = rig.device()
    await device.start(lambda version: None, "")
    for name, body in bodies.items():
        assert await body_of(device, name) == body
    clock = FakeClock(auto=True)
    daemons = Daemons(clock)
    daemons.add(Reconstructor(device, rig.record_members, clock))
    await daemons.run_once("object-reconstructor")
    there = await rig.archives()
    assert there == {start: rig.belong(start) for start in there}
    assert daemons.progress["object-reconstructor"].counts["moved"]
    await device.close()
