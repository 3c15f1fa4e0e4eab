"""The objects of one disk: which version counts, where it goes, and what is left to clear away.

It is an object device by itself, and can be a member of a ring of them (`cluster/member.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import structlog

from pileus.drivers.object.answers import chunks_of, done, failed, slowly
from pileus.drivers.object.claims import Claims
from pileus.drivers.object.cluster.member import Broken, Capacity, Stamp
from pileus.drivers.object.compaction import compact
from pileus.drivers.object.files import File, Files, HostFiles
from pileus.drivers.object.group import Group, stamp_of
from pileus.drivers.object.inventory import Inventory
from pileus.drivers.object.large import ARRIVING, LARGE, LargeWriter, file_of, read_file
from pileus.drivers.object.quarantine import Quarantine
from pileus.drivers.object.record import Kind, Record
from pileus.drivers.object.rules import (
    Other,
    amended,
    emptied,
    found_in,
    if_newer,
    names,
    peeked,
    present,
    rotten,
    tell,
    version_of,
)
from pileus.drivers.object.summary import Summary
from pileus.kernel.clock import Clock
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import (
    DeviceError,
    Missing,
    Superseded,
    Told,
    Version,
    whole_or_nothing,
)

log = structlog.get_logger("pileus.object_store")
SMALL_BYTES = 256 * 1024
"""Objects up to this size live in volumes."""
_IN_VOLUMES = (Kind.WHOLE, Kind.DELETED, Kind.DROPPED)
"""What leaves nothing behind where another takes its place."""
CLAIMS, BEGUN = "claims", "begun"
"""A file that is there once claims may have been granted."""
REPLAY = 256
"""Records read at once when listings catch up."""
VOLUME_BYTES = 256 * 1024 * 1024


class ObjectEngine:
    """An `ObjectDevice` over `Files`, and a `Member`."""

    def __init__(
        self,
        files: Files,
        *,
        group_power: int = 0,
        volume_bytes: int = VOLUME_BYTES,
        suffix_power: int | None = None,
        clock: Clock | None = None,
        is_shared: bool = False,
    ) -> None:
        """`group_power`: how many bits of the partition choose the group of volumes; `suffix_power`: of a member, the
        bits of a suffix; `is_shared`: other processes write here, and go on when this one starts again."""
        self._files = files
        self._shift = 8 - group_power
        self._folders = [f"volumes/{number:02x}" for number in range(1 << group_power)]
        summary = None if suffix_power is None else Summary(suffix_power)
        self._groups = [Group(files, folder, volume_bytes, summary) for folder in self._folders]
        self._inventory = Inventory(self._groups, summary)
        self._quarantine = Quarantine(files, self._empty)
        self._turns: dict[bytes, asyncio.Future[None]] = {}
        self._later: set[asyncio.Future[None]] = set()
        """Changes that wait for their turn."""
        self._arriving: set[str] = set()
        """Files of large objects that no record names yet."""
        self._is_shared = is_shared
        self._claims = Claims(clock, is_shared=is_shared)
        self.ring_digest = ""
        """Of the ring that whoever serves it goes by."""

    @classmethod
    def on_host(cls, folder: Path, suffix_power: int | None = None) -> ObjectEngine:
        """A device of this process alone."""
        return cls(HostFiles(folder), suffix_power=suffix_power)

    @classmethod
    def shared(cls, folder: Path, suffix_power: int, clock: Clock) -> ObjectEngine:
        """A device that proxies write to."""
        return cls(HostFiles(folder), suffix_power=suffix_power, clock=clock, is_shared=True)

    async def start(
        self,
        told: Told = lambda version: None,
        since: str = "",
        is_told: Callable[[bytes], bool] = lambda key: True,
    ) -> None:
        """`is_told`: whether a key's changes are told at all."""
        await asyncio.to_thread(self._load)
        marks = since.split() or ["0:0"] * len(self._groups)
        for group, mark in zip(self._groups, marks, strict=True):
            volume, offset = mark.split(":")
            missed = group.since(int(volume), int(offset))
            while records := await asyncio.to_thread(lambda: list(islice(missed, REPLAY))):  # noqa: B023 - run at once
                for record in records:
                    tell(told, is_told, record)
            group.told = partial(tell, told, is_told)

    def mark(self) -> str:
        return " ".join(f"{volume}:{offset}" for volume, offset in (group.position for group in self._groups))

    def _load(self) -> None:
        for folder in (*self._folders, LARGE, ARRIVING):
            self._files.make_folder(folder)
        for name in self._files.names_in(ARRIVING):
            self._files.unlink(f"{ARRIVING}/{name}")
        if self._is_shared:
            self._begin()
        for group in self._groups:
            group.load()
            for key in group.doubtful:
                self._inventory.recount(key)

    def _begin(self) -> None:
        """Only a device that has never started may take it that nobody has a claim."""
        if BEGUN in self._files.names_in(CLAIMS):
            self._claims.outlive()
            return
        self._files.make_folder(CLAIMS)
        self._files.create(f"{CLAIMS}/{BEGUN}").close()
        self._files.sync_folder(CLAIMS)

    async def close(self) -> None:
        while under_way := {
            *self._turns.values(),
            *self._later,
            *(turn for group in self._groups for turn in group.under_way.values()),
        }:
            await asyncio.wait(under_way)
        await asyncio.gather(*(group.close() for group in self._groups))

    @property
    def busy(self) -> bool:
        """Whether changes are under way."""
        return bool(self._turns or self._later or any(group.under_way for group in self._groups))

    def _group(self, key: bytes) -> Group:
        return self._groups[key[0] >> self._shift]

    async def _newest(self, key: bytes) -> Record | None:
        """Also where it says that there is nothing. What is broken gives such a record, too."""
        try:
            found = self._group(key).find_cached(key)
            return await asyncio.to_thread(found) if callable(found) else found
        except Broken:
            return rotten(key)

    def find(self, key: bytes) -> asyncio.Future[Version | None]:
        try:
            found = self._group(key).find_cached(key)
            if callable(found):
                return asyncio.ensure_future(slowly(found, found_in))
            return done(found_in(found))
        except DeviceError as error:
            return failed(error)

    def peek(self, key: bytes) -> asyncio.Future[Stamp | None]:
        try:
            found = self._group(key).header_cached(key)
            if callable(found):
                return asyncio.ensure_future(slowly(found, peeked))
            return done(peeked(found))
        except DeviceError as error:
            return failed(error)

    async def put(self, key: bytes, path: str, timestamp: Timestamp, metadata: bytes, body: bytes) -> None:
        if len(body) > SMALL_BYTES:
            async with whole_or_nothing(self.writer(key, path)) as writer:
                await writer.write(body)
                await writer.finish(timestamp, metadata)
            return
        record = Record(Kind.WHOLE, key, path, timestamp, timestamp, len(body), metadata, body)
        await asyncio.shield(self._put(record))

    def store(self, key: bytes, version: Version) -> asyncio.Future[None]:
        if not version.deleted and version.body is None:
            return self._store(key, partial(amended, version))
        kind = Kind.DELETED if version.deleted else Kind.WHOLE
        record = Record(
            kind,
            key,
            version.path,
            version.timestamp,
            version.changed,
            version.size_bytes,
            version.metadata,
            version.body or b"",
        )
        return self._put(record)

    def writer(self, key: bytes, path: str) -> LargeWriter:
        return LargeWriter(self, self._files, key, path, SMALL_BYTES)

    async def put_file(self, record: Record, file: str) -> None:
        """A large object whose `file` is durable; `LargeWriter` calls it."""
        await asyncio.shield(self._put(record))

    async def expect_file(self, key: bytes, timestamp: Timestamp) -> bool:
        """`tidy` lets the file be until `forget_file`. False where it is the object's already, or another's on its way."""
        while (before := self._before(key)) is not None:  # it may be about to remove a file of that name
            await asyncio.wait((before,))
        record = await self._newest(key)
        file = file_of(key, timestamp)
        if file in self._arriving or (record is not None and names(record, file)):
            return False
        self._arriving.add(file)
        return True

    def forget_file(self, file: str) -> None:
        self._arriving.discard(file)

    def read(self, key: bytes, version: Version, offset: int, length: int) -> AsyncIterator[bytes]:
        if version.body is not None:
            return chunks_of(version.body[offset : offset + length])
        return read_file(self._opened(key, version), offset, min(length, version.size_bytes - offset))

    def opened(self, key: bytes, version: Version) -> File | None:
        if version.body is not None:
            return None
        file = self._opened(key, version)
        if file.fileno() < 0:
            file.close()
            return None
        return file

    def _opened(self, key: bytes, version: Version) -> File:
        try:
            return self._files.open(file_of(key, version.timestamp))
        except OSError as error:
            raise DeviceError(f"the data of {version.path} is gone: {error.strerror}") from error

    async def update(self, key: bytes, timestamp: Timestamp, change: Callable[[bytes], bytes]) -> Version:
        made: list[Record] = []

        def make(old: Record | None) -> Record:
            known = present(old)
            if timestamp <= known.changed:
                raise Superseded(known.changed, deleted=False)
            made.append(known._replace(changed=timestamp, metadata=change(known.metadata)))
            return made[0]

        await asyncio.shield(self._store(key, make))
        return version_of(made[0])

    async def delete(self, key: bytes, path: str, timestamp: Timestamp) -> None:
        record = Record(Kind.DELETED, key, path, timestamp, timestamp, 0, b"", b"")
        await asyncio.shield(self._put(record))

    def _put(self, record: Record) -> asyncio.Future[None]:
        """Where nothing of what it replaces matters but that it is older, no more of that is taken apart than its header."""
        key = record.key
        group = self._group(key)
        if self._before(key) is None:
            if (place := group.index.get(key)) is None:
                return group.append(record)
            with suppress(Broken):
                # Rot may be in the very times that decide, and in what the summary takes for the old.
                old = group.sound_header_cached(place)
                if old is not None and old.kind in _IN_VOLUMES and old.order < record.order:
                    return group.append(record, stamp_of(old))
        return self._store(key, partial(if_newer, record))

    async def claim(self, key: bytes, holder: bytes, timestamp: Timestamp, seconds: float) -> bool:
        return self._claims.claim(key, holder, timestamp, seconds)

    async def release(self, key: bytes, holder: bytes) -> bool:
        return self._claims.release(key, holder)

    def _store(self, key: bytes, make: Callable[[Record | None], Record]) -> asyncio.Future[None]:
        """One change at a time for each key; a caller that goes away does not stop what has begun."""
        if self._before(key) is not None:
            later = asyncio.ensure_future(self._store_later(key, make))
            self._later.add(later)
            later.add_done_callback(self._later.discard)
            return asyncio.shield(later)
        group = self._group(key)
        try:
            try:
                old = group.find_cached(key)
            except Broken:
                old = rotten(key)
            if callable(old) or (old is not None and old.kind is Kind.FILE):
                return asyncio.shield(self._take_turn(key, self._change(key, make)))
            turn = group.append(make(old), old and stamp_of(old))
            if old is not None and old.kind is Kind.BROKEN:
                turn.add_done_callback(lambda _: self._inventory.recount(key))
        except (DeviceError, Missing, Superseded, Other) as error:
            return failed(error)
        return turn

    def _before(self, key: bytes) -> asyncio.Future[None] | None:
        """A change of the key that is under way."""
        return self._turns.get(key) or self._group(key).under_way.get(key)

    async def _store_later(self, key: bytes, make: Callable[[Record | None], Record]) -> None:
        while (before := self._before(key)) is not None:
            await asyncio.wait((before,))
        await self._store(key, make)

    async def _change(self, key: bytes, make: Callable[[Record | None], Record]) -> None:
        """Where the disk has to be waited for, or a file goes."""
        old = await self._newest(key)
        new = make(old)
        await self._group(key).append(new, old and stamp_of(old))
        if old is not None and old.kind is Kind.BROKEN:
            self._inventory.recount(key)
        if (
            old is not None
            and old.kind is Kind.FILE
            and (new.kind, new.timestamp) != (old.kind, old.timestamp)
        ):
            # Who waits for the change has not to wait for that: of a large file it takes a tenth of a second.
            self._take_turn(key, self._remove(file_of(key, old.timestamp)))

    def _take_turn(self, key: bytes, work: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        """Other changes of the key wait for it."""
        turn = self._turns[key] = asyncio.ensure_future(work)
        turn.add_done_callback(partial(self._end_turn, key))
        return turn

    def _end_turn(self, key: bytes, turn: asyncio.Future[None]) -> None:
        if self._turns.get(key) is turn:
            del self._turns[key]

    async def _remove(self, file: str) -> None:
        try:
            await asyncio.to_thread(self._files.unlink, file)
        except OSError as error:  # `tidy` tries again
            log.warning("a file that is not needed any more can't be removed", file=file, error=str(error))

    async def summaries(self, part_power: int) -> Mapping[int, int]:
        return self._inventory.summary.partitions(part_power)

    async def suffixes(self, part_power: int, partition: int) -> Mapping[int, int]:
        return self._inventory.summary.suffixes(part_power, partition)

    async def stamps(
        self, part_power: int, partition: int, suffixes: Collection[int] | None = None
    ) -> Mapping[bytes, Stamp]:
        stamps, broken = await self._inventory.stamps(part_power, partition, suffixes)
        for key in broken:
            await self._quarantine.take(key, None)
        return stamps

    async def drop(self, key: bytes, stamp: Stamp) -> bool:
        return await self._empty(key, stamp, Kind.DROPPED)

    async def check(self, key: bytes) -> int:
        try:
            found = self._group(key).find_cached(key)
            record = await asyncio.to_thread(found) if callable(found) else found
        except Broken:
            await self._quarantine.take(key, None)
            raise
        return 0 if record is None else await self._quarantine.check(record)

    async def _empty(self, key: bytes, stamp: Stamp | None, kind: Kind) -> bool:
        try:
            await asyncio.shield(self._store(key, partial(emptied, stamp, kind)))
        except Other:
            return False
        return True

    async def capacity(self) -> Capacity:
        total, free = await asyncio.to_thread(self._files.space)
        return Capacity(total, free, sum(len(group.index) for group in self._groups))

    async def ring(self) -> str:
        return self.ring_digest

    async def tidy(self, forget_before: Timestamp) -> int:
        freed = [await compact(group, forget_before) for group in self._groups]
        if not any(group.failed for group in self._groups):
            await self._clear_files()
        return sum(freed)

    async def _clear_files(self) -> None:
        """Files that no record names: an upload that ended before its record, a deletion before its unlink."""
        for folder in await asyncio.to_thread(self._files.names_in, LARGE):
            for name in await asyncio.to_thread(self._files.names_in, f"{LARGE}/{folder}"):
                file = f"{LARGE}/{folder}/{name}"
                record = await self._newest(bytes.fromhex(name.partition(".")[0]))
                named = record is not None and (names(record, file) or record.kind is Kind.BROKEN)
                if not named and file not in self._arriving:
                    await asyncio.to_thread(self._files.unlink, file)
