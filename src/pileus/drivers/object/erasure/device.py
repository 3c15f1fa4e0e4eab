"""An object device that codes what it is given and spreads the fragments over a ring's members."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping
from typing import Any, NamedTuple

import msgspec
import structlog

from pileus.drivers.object.answers import chunks_of
from pileus.drivers.object.cluster.absent import AbsentMember
from pileus.drivers.object.cluster.device import ObjectCluster
from pileus.drivers.object.cluster.member import Member, Stamp
from pileus.drivers.object.erasure.archive import Record, archive_key, record_of, shown
from pileus.drivers.object.erasure.archive import encode as encode_record
from pileus.drivers.object.erasure.code import Scheme, code_of
from pileus.drivers.object.erasure.lane import in_time
from pileus.drivers.object.erasure.places import Places, record_ring
from pileus.drivers.object.erasure.reader import ErasureReader
from pileus.drivers.object.erasure.writer import ErasureWriter
from pileus.lib.ring import Ring
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, Told, Version, whole_or_nothing

log = structlog.get_logger("pileus.object_store")
INLINE_BYTES = 1024
"""Bodies up to this size are in the record: their fragments would be mostly headers."""
PATIENCE_SECONDS = 10.0
"""After so long a member that does not answer counts as away."""
HEDGE_SECONDS = 1.0
"""After so long another fragment is asked for besides."""
GRACE_SECONDS = 0.5
"""So long an answer waits for the last fragments, once enough are durable."""


class _Marks(NamedTuple):
    records: str
    fragments: dict[int, str]


class ErasureDevice:
    """An `ObjectDevice`. `records` is a replicated device over the same ring, `places` has the fragments; see `archive`."""

    def __init__(
        self,
        records: ObjectCluster,
        places: Places,
        scheme: Scheme,
        *,
        inline_bytes: int = INLINE_BYTES,
        patience_seconds: float = PATIENCE_SECONDS,
        hedge_seconds: float = HEDGE_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.records = records
        self.places = places
        self.code = code_of(scheme)
        self.inline_bytes = inline_bytes
        self.patience_seconds = patience_seconds
        self.hedge_seconds = hedge_seconds
        self._grace_seconds = grace_seconds
        self._background: set[asyncio.Task[Any]] = set()
        self._read_now: Counter[bytes] = Counter()
        """Writes whose archives somebody reads."""
        self._drop_later: dict[bytes, list[Callable[[], None]]] = {}

    async def start(self, told: Told, since: str) -> None:
        """A device that does not start is passed over."""

        def heard(version: Version) -> None:
            told(shown(version))

        marks = msgspec.json.decode(since, type=_Marks) if since else _Marks("", {})
        await asyncio.gather(*(self._start(id_, marks.fragments.get(id_, "")) for id_ in self.places.members))
        await self.records.start(heard, marks.records)

    async def _start(self, id_: int, since: str) -> None:
        """Nobody is told of fragments; the mark only spares reading what is there already."""
        try:
            await self.places.members[id_].start(lambda version: None, since)
        except (DeviceError, OSError) as error:
            log.error("a device of the ring does not start", device=id_, error=str(error))
            self.places.lose(id_, AbsentMember(f"device {id_} did not start: {error}", since))

    async def change(
        self, ring: Ring, fragments: Mapping[int, Member], records: Mapping[int, Member]
    ) -> None:
        """Places fragments and records by another ring from now on; writes under way finish by the old one."""
        known = {id(member) for member in self.places.everybody()}
        for member in fragments.values():
            if id(member) not in known:
                await member.start(lambda version: None, "")
        self.places.change(ring, fragments)
        await self.records.change(record_ring(ring, self.places.scheme), records)

    def mark(self) -> str:
        fragments = {id_: member.mark() for id_, member in self.places.members.items()}
        return msgspec.json.encode(_Marks(self.records.mark(), fragments)).decode()

    async def close(self) -> None:
        while self._background:
            await asyncio.wait(self._background)
        await self.records.close()
        await asyncio.gather(*(member.close() for member in self.places.everybody()))

    async def find(self, key: bytes) -> Version | None:
        kept = await self.records.find(key)
        return None if kept is None else shown(kept)

    async def put(self, key: bytes, path: str, timestamp: Timestamp, metadata: bytes, body: bytes) -> None:
        async with whole_or_nothing(self.writer(key, path)) as writer:
            await writer.write(body)
            await writer.finish(timestamp, metadata)

    def writer(self, key: bytes, path: str) -> ErasureWriter:
        return ErasureWriter(self, key, path)

    def read(self, key: bytes, version: Version, offset: int, length: int) -> AsyncIterator[bytes]:
        if version.body is not None:
            return chunks_of(version.body[offset : offset + length])
        return ErasureReader(self, key, version.below, offset, length)

    async def update(self, key: bytes, timestamp: Timestamp, change: Callable[[bytes], bytes]) -> Version:
        def changed(old: bytes) -> bytes:
            record = _decode(old)
            return encode_record(
                Record(change(record.metadata), record.size_bytes, record.write, record.scheme)
            )

        return shown(await self.records.update(key, timestamp, changed))

    async def delete(self, key: bytes, path: str, timestamp: Timestamp) -> None:
        await self._replace(key, timestamp, self.records.delete(key, path, timestamp))

    async def commit(self, key: bytes, path: str, timestamp: Timestamp, record: bytes, body: bytes) -> None:
        """Makes what was stored the object."""
        await self._replace(key, timestamp, self.records.put(key, path, timestamp, record, body))

    async def _replace(self, key: bytes, timestamp: Timestamp, work: Awaitable[None]) -> None:
        """A change of the record; afterwards the archives of what was before go."""
        before, _ = await asyncio.gather(self._before(key), work)
        if before is not None and not before.deleted and before.timestamp < timestamp:
            old = record_of(before)
            if old.scheme is not None:
                self.forget(key, old, before.timestamp)

    async def _before(self, key: bytes) -> Version | None:
        try:
            return await self.records.find(key)
        except DeviceError:
            return None  # what it was, the reconstructor finds

    async def claim(self, key: bytes, holder: bytes, timestamp: Timestamp, seconds: float) -> bool:
        return await self.records.claim(key, holder, timestamp, seconds)

    async def release(self, key: bytes, holder: bytes) -> bool:
        return await self.records.release(key, holder)

    async def tidy(self, forget_before: Timestamp) -> int:
        while self._background:
            await asyncio.wait(self._background)
        freed = [await member.tidy(forget_before) for member in self.places.everybody()]
        return await self.records.tidy(forget_before) + sum(freed)

    async def settle(self, work: Collection[Coroutine[Any, Any, None]], enough: Callable[[], bool]) -> None:
        """Returns when all is done, or when it is enough and the rest takes long; that goes on behind."""
        tasks = {asyncio.create_task(each) for each in work}
        pending = tasks
        try:
            while pending and not enough():
                _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if pending:
                _, pending = await asyncio.wait(pending, timeout=self._grace_seconds)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        for task in pending:
            self._keep(task)
        for task in tasks - pending:
            task.result()

    async def answers(self, futures: Collection[asyncio.Future[Any]]) -> None:
        """Waits until all are done, or as long as it takes till another is asked; nothing is cancelled."""
        if not all(future.done() for future in futures):
            _, late = await asyncio.wait(futures, timeout=self.hedge_seconds)
            for future in late:
                future.add_done_callback(_heard)

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def hold(self, write: bytes) -> Callable[[], None]:
        """The archives of this write stay until what is returned is called."""
        self._read_now[write] += 1

        def release() -> None:
            self._read_now[write] -= 1
            if not self._read_now[write]:
                del self._read_now[write]
                for drop in self._drop_later.pop(write, ()):
                    drop()

        return release

    def is_held(self, write: bytes) -> bool:
        return write in self._read_now

    def forget(self, key: bytes, record: Record, timestamp: Timestamp) -> None:
        """Drops the archives of a version that is the object no more, when nobody reads them here any longer.

        What is not reached now the reconstructor finds later.
        """

        def drop() -> None:
            assert record.scheme is not None
            for index, member in enumerate(self.places.of(key).primaries[: record.scheme.fragments]):
                self.drop(member, archive_key(key, record.write, index), timestamp)

        if self.is_held(record.write):
            self._drop_later.setdefault(record.write, []).append(drop)
        else:
            drop()

    def drop(self, member: Member, key: bytes, timestamp: Timestamp) -> None:
        """Behind; a member that is away keeps it for the reconstructor to find."""
        self._behind(member.drop(key, Stamp(timestamp, timestamp)))

    def suspect(self, member: Member, key: bytes) -> None:
        """Has a member look whether an archive is broken: it is then put aside, and the reconstructor makes it anew."""
        self._behind(member.check(key))

    def _behind(self, work: Awaitable[Any]) -> None:
        async def quietly() -> None:
            try:
                await in_time(work, self.patience_seconds)
            except DeviceError as error:
                log.info("a device could not be asked behind", reason=str(error))

        try:
            self._keep(asyncio.get_running_loop().create_task(quietly()))
        except RuntimeError:
            """A reader was collected after its loop had ended."""


def _heard(late: asyncio.Future[Any]) -> None:
    """An answer that nobody waits for any more."""
    if not late.cancelled():
        late.exception()


def _decode(metadata: bytes) -> Record:
    return record_of(Version("", Timestamp(0), Timestamp(0), 0, metadata, False, None))
