"""The objects of one disk: which version counts, where it goes, and what is left to clear away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import islice
from pathlib import Path

from pileus.drivers.object.files import Files, HostFiles
from pileus.drivers.object.group import Group
from pileus.drivers.object.large import ARRIVING, LARGE, LargeWriter, file_of, read_file
from pileus.drivers.object.record import Kind, Record
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, Missing, Superseded, Told, Version

SMALL_BYTES = 256 * 1024
"""Objects up to this size live in volumes."""
REPLAY = 256
"""Records read at once when listings catch up."""
VOLUME_BYTES = 256 * 1024 * 1024


class ObjectEngine:
    """An `ObjectDevice` over `Files`. `group_power`: how many bits of the partition choose the group of volumes."""

    def __init__(self, files: Files, *, group_power: int = 0, volume_bytes: int = VOLUME_BYTES) -> None:
        self._files = files
        self._shift = 8 - group_power
        self._folders = [f"volumes/{number:02x}" for number in range(1 << group_power)]
        self._groups = [Group(files, folder, volume_bytes) for folder in self._folders]
        self._turns: dict[bytes, asyncio.Future[None]] = {}
        self._arriving: set[str] = set()
        """Files of large objects that no record names yet."""

    @classmethod
    def on_host(cls, folder: Path) -> ObjectEngine:
        return cls(HostFiles(folder))

    async def start(self, told: Told = lambda version: None, since: str = "") -> None:
        await asyncio.to_thread(self._load)
        marks = since.split() or ["0:0"] * len(self._groups)
        for group, mark in zip(self._groups, marks, strict=True):
            volume, offset = mark.split(":")
            missed = group.since(int(volume), int(offset))
            while records := await asyncio.to_thread(lambda: list(islice(missed, REPLAY))):  # noqa: B023 - run at once
                for record in records:
                    told(_version(record))
            group.told = lambda record: told(_version(record))

    def mark(self) -> str:
        return " ".join(f"{volume}:{offset}" for volume, offset in (group.position for group in self._groups))

    def _load(self) -> None:
        for folder in (*self._folders, LARGE, ARRIVING):
            self._files.make_folder(folder)
        for name in self._files.names_in(ARRIVING):
            self._files.unlink(f"{ARRIVING}/{name}")
        for group in self._groups:
            group.load()

    async def close(self) -> None:
        await asyncio.gather(*(group.close() for group in self._groups))

    def _group(self, key: bytes) -> Group:
        return self._groups[key[0] >> self._shift]

    async def _newest(self, key: bytes) -> Record | None:
        found = self._group(key).find_cached(key)
        return await asyncio.to_thread(found) if callable(found) else found

    async def find(self, key: bytes) -> Version | None:
        record = await self._newest(key)
        return None if record is None else _version(record)

    async def put(self, key: bytes, path: str, timestamp: Timestamp, metadata: bytes, body: bytes) -> None:
        if len(body) > SMALL_BYTES:
            writer = self.writer(key, path)
            await writer.write(body)
            await writer.finish(timestamp, metadata)
            return
        record = Record(Kind.WHOLE, key, path, timestamp, timestamp, len(body), metadata, body)
        await self._store(key, lambda old: _if_newer(record, old))

    def writer(self, key: bytes, path: str) -> LargeWriter:
        return LargeWriter(self, self._files, key, path, SMALL_BYTES)

    async def put_file(self, record: Record, file: str) -> None:
        """A large object whose `file` is durable; `LargeWriter` calls it. The file goes where the record can't be kept."""
        self._arriving.add(file)
        try:
            await self._store(record.key, lambda old: _if_newer(record, old))
        finally:
            self._arriving.discard(file)

    def expect_file(self, file: str) -> None:
        """`tidy` lets it be until `put_file` has come."""
        self._arriving.add(file)

    def forget_file(self, file: str) -> None:
        self._arriving.discard(file)

    def read(self, key: bytes, version: Version, offset: int, length: int) -> AsyncIterator[bytes]:
        if version.body is not None:
            return _part(version.body[offset : offset + length])
        try:
            file = self._files.open(file_of(key, version.timestamp))
        except OSError as error:
            raise DeviceError(f"the data of {version.path} is gone: {error.strerror}") from error
        return read_file(file, offset, min(length, version.size_bytes - offset))

    async def update(self, key: bytes, timestamp: Timestamp, change: Callable[[bytes], bytes]) -> Version:
        made: list[Record] = []

        def make(old: Record | None) -> Record:
            if old is None or old.kind is Kind.DELETED:
                raise Missing(None if old is None else old.timestamp)
            if timestamp <= old.changed:
                raise Superseded(old.changed, deleted=False)
            made.append(old._replace(changed=timestamp, metadata=change(old.metadata)))
            return made[0]

        await self._store(key, make)
        return _version(made[0])

    async def delete(self, key: bytes, path: str, timestamp: Timestamp) -> None:
        record = Record(Kind.DELETED, key, path, timestamp, timestamp, 0, b"", b"")
        await self._store(key, lambda old: _if_newer(record, old))

    async def _store(self, key: bytes, make: Callable[[Record | None], Record]) -> None:
        """One change at a time for each key; a caller that goes away does not stop what has begun."""
        while (before := self._turns.get(key)) is not None:
            await asyncio.wait((before,))
        turn = asyncio.ensure_future(self._change(key, make))
        self._turns[key] = turn
        turn.add_done_callback(lambda _: self._turns.pop(key))
        await asyncio.shield(turn)

    async def _change(self, key: bytes, make: Callable[[Record | None], Record]) -> None:
        old = await self._newest(key)
        new = make(old)
        await self._group(key).append(new)
        if (
            old is not None
            and old.kind is Kind.FILE
            and (new.kind, new.timestamp) != (old.kind, old.timestamp)
        ):
            await asyncio.to_thread(self._files.unlink, file_of(key, old.timestamp))

    async def tidy(self, forget_before: Timestamp) -> int:
        freed = [await group.tidy(forget_before) for group in self._groups]
        if not any(group.failed for group in self._groups):
            await self._clear_files()
        return sum(freed)

    async def _clear_files(self) -> None:
        """Files that no record names: an upload that ended before its record, a deletion before its unlink."""
        for folder in await asyncio.to_thread(self._files.names_in, LARGE):
            for name in await asyncio.to_thread(self._files.names_in, f"{LARGE}/{folder}"):
                file = f"{LARGE}/{folder}/{name}"
                record = await self._newest(bytes.fromhex(name.partition(".")[0]))
                named = (
                    record is not None
                    and record.kind is Kind.FILE
                    and file_of(record.key, record.timestamp) == file
                )
                if not named and file not in self._arriving:
                    await asyncio.to_thread(self._files.unlink, file)


def _if_newer(record: Record, old: Record | None) -> Record:
    if old is not None and record.timestamp <= old.timestamp:
        raise Superseded(old.timestamp, deleted=old.kind is Kind.DELETED)
    return record


def _version(record: Record) -> Version:
    return Version(
        record.path,
        record.timestamp,
        record.changed,
        record.size_bytes,
        record.metadata,
        record.kind is Kind.DELETED,
        record.body if record.kind is Kind.WHOLE else None,
    )


async def _part(data: bytes) -> AsyncIterator[bytes]:
    yield data
