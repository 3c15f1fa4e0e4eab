"""The volumes of one group of partitions: one writes, a thread commits what has gathered with one sync."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple

import structlog

from pileus.drivers.object.cluster.member import Broken, Stamp
from pileus.drivers.object.files import Files
from pileus.drivers.object.index import Index, Place, rounded
from pileus.drivers.object.lull import lull
from pileus.drivers.object.record import Header, Kind, Record, Torn, encode
from pileus.drivers.object.summary import Summary
from pileus.drivers.object.volume import VOLUME, Entry, Volume
from pileus.services.object_store.driver import DeviceError, DeviceFull

log = structlog.get_logger("pileus.object_store")
BATCH_BYTES = 4 * 1024 * 1024
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class _Waiting(NamedTuple):
    record: Record
    old: Stamp | None
    """What it replaces, for the summary."""
    replaces: Place | None
    """For a copy: what it stands in for; it counts only if that is still the newest."""
    done: asyncio.Future[None]


class _Done(asyncio.Future[None]):
    """Whoever waits for it may go away; what it tells of goes on."""

    def cancel(self, msg: object = None) -> bool:
        return False


def stamp_of(record: Record | Header) -> Stamp | None:
    """None where it says that there is nothing here."""
    if record.kind in (Kind.DROPPED, Kind.BROKEN):
        return None
    return Stamp(record.timestamp, record.changed, record.kind == Kind.DELETED)


class Group:
    def __init__(self, files: Files, folder: str, volume_bytes: int, summary: Summary | None = None) -> None:
        self.index = Index()
        self._summary = summary
        self.under_way: dict[bytes, asyncio.Future[None]] = {}
        """Changes that are on their way to the disk, by key."""
        self._files = files
        self.folder = folder
        self._volume_bytes = volume_bytes
        self.volumes: dict[int, Volume] = {}
        self._active: Volume | None = None
        self._queue: SimpleQueue[list[_Waiting] | None] = SimpleQueue()
        self._gathered: list[_Waiting] = []
        """What the thread is given with the next lull."""
        self._gathered_bytes = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sealing: set[asyncio.Task[None]] = set()
        self.doubtful: set[bytes] = set()
        """Keys of which it is not known what the summary has counted."""
        self.told: Callable[[Record], None] = lambda record: None
        """Hears of each record that became the newest."""
        self.position = (0, 0)
        """Volume and offset up to which `told` has heard of everything."""
        self.failed = False
        """Since the start something could not be written: it may be found at the next start all the same."""

    def load(self) -> None:
        """Builds the index anew from what is on the disk. Blocks."""
        numbers = sorted(
            int(name.removesuffix(VOLUME))
            for name in self._files.names_in(self.folder)
            if name.endswith(VOLUME)
        )
        for number in numbers:
            volume = self.volumes[number] = Volume.open(self._files, self.folder, number)
            for entry in volume.entries():
                self._learn(entry)
        for number in numbers:
            volume = self.volumes[number]
            if volume.sealed:
                continue
            if volume.resume() and number == numbers[-1]:
                self._active = volume
            else:
                volume.seal()
        if numbers:
            self.position = (numbers[-1], self.volumes[numbers[-1]].end)

    def since(self, number: int, offset: int) -> Iterator[Record]:
        """The records from there on, as they were written. Blocks."""
        for volume in list(self.volumes.values()):
            if volume.number >= number:
                for entry in list(volume.entries()):
                    if (volume.number, entry.place.offset) >= (number, offset):
                        with suppress(Broken):  # there is nothing to tell of it
                            yield self.read(volume, entry.place)

    def _learn(self, entry: Entry) -> None:
        old, known = None, self.index.get(entry.key)
        if known is not None:
            try:
                record = self.volumes[known.volume].read(known)
                if record.order > entry.order and record.kind is not Kind.BROKEN:
                    return
                old = stamp_of(record)
            except Torn:  # what is broken gives way
                self.doubtful.add(entry.key)
        self._set(entry.key, entry.place)
        if self._summary is not None:
            self._summary.replace(entry.key, old, entry.stamp)

    def _set(self, key: bytes, place: Place) -> None:
        known = self.index.put(key, place)
        if known is not None and known.volume in self.volumes:
            self.volumes[known.volume].live_bytes -= known.length
        self.volumes[place.volume].live_bytes += rounded(place.length)

    def find_cached(self, key: bytes) -> Record | Callable[[], Record] | None:
        """The newest record, None, or a function that blocks until the disk has it. Raises DeviceError."""
        place = self.index.get(key)
        if place is None:
            return None
        volume = self.volumes[place.volume]
        try:
            found = volume.read_cached(place)
        except Torn:
            raise self._broken(place) from None
        if found is not None:
            return found
        return lambda: self.read(volume, place)

    def header_cached(self, key: bytes) -> Header | Callable[[], Header] | None:
        """As `find_cached`, of what the newest record begins with. Its fields are not checked."""
        place = self.index.get(key)
        if place is None:
            return None
        volume = self.volumes[place.volume]
        try:
            found = volume.header_cached(place)
        except Torn:
            raise self._broken(place) from None
        return found or (lambda: self.header_at(volume, place))

    def sound_header_cached(self, place: Place) -> Header | None:
        """Of a record that is whole; None where the disk has to be asked. Raises Broken."""
        try:
            return self.volumes[place.volume].sound_header_cached(place)
        except Torn:
            raise self._broken(place) from None

    def header_at(self, volume: Volume, place: Place) -> Header:
        try:
            return volume.header(place)
        except Torn:
            raise self._broken(place) from None
        except OSError as error:
            raise DeviceError(f"the disk can't be read: {error}") from error

    def places(self, first: int, last: int) -> list[tuple[bytes, Volume, Place]]:
        """Newest records of keys whose first byte is one of `first` to `last`. They stay readable."""
        return [(key, self.volumes[place.volume], place) for key, place in self.index.items(first, last)]

    def read(self, volume: Volume, place: Place) -> Record:
        """Blocks; raises DeviceError."""
        try:
            return volume.read(place)
        except Torn:
            raise self._broken(place) from None
        except OSError as error:
            raise DeviceError(f"the disk can't be read: {error}") from error

    def _broken(self, place: Place) -> Broken:
        log.error("a record is broken", folder=self.folder, volume=place.volume, offset=place.offset)
        return Broken(f"a record in volume {place.volume} at {place.offset} does not match its checksum")

    def append(
        self, record: Record, old: Stamp | None = None, replaces: Place | None = None
    ) -> asyncio.Future[None]:
        """Done when the record is durable and the newest; fails with DeviceError. Nobody can cancel it."""
        self._loop = self._loop or asyncio.get_running_loop()
        done = _Done(loop=self._loop)
        if replaces is None:
            self.under_way[record.key] = done
        if self._thread is None:
            self._thread = threading.Thread(target=self._commit_forever, name="object volumes", daemon=True)
            self._thread.start()
        if not self._gathered:
            lull().then(self._hand_over)
        self._gathered.append(_Waiting(record, old, replaces, done))
        self._gathered_bytes += len(record.body)
        if self._gathered_bytes >= BATCH_BYTES:
            self._hand_over()
        return done

    def _hand_over(self) -> None:
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered, self._gathered_bytes = [], 0

    async def close(self) -> None:
        if self._thread is not None:
            self._hand_over()
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None
        await asyncio.gather(*self._sealing)

    def _commit_forever(self) -> None:
        assert self._loop is not None
        goes_on = True
        while goes_on:
            waiting, goes_on = self._gather()
            if not waiting:
                return
            try:
                places = self._commit(waiting)
                self._loop.call_soon_threadsafe(self._committed, waiting, places)
            except OSError as error:
                failure: DeviceError = DeviceError(f"the disk can't be written: {error}")
                if error.errno in NO_SPACE:
                    failure = DeviceFull("the disk is full")
                self.failed = True
                log.error("objects can't be written", folder=self.folder, error=str(error))
                self._loop.call_soon_threadsafe(self._failed, waiting, failure)
            except BaseException as error:
                self._loop.call_soon_threadsafe(self._failed, waiting, error)
                raise

    def _gather(self) -> tuple[list[_Waiting], bool]:
        """All that waits, once there is anything, and whether more may come."""
        batch: list[_Waiting] = []
        size = 0
        more = self._queue.get()
        with suppress(Empty):
            while more is not None:
                batch += more
                size += sum(len(each.record.body) for each in more)
                if size >= BATCH_BYTES:
                    break
                more = self._queue.get_nowait()
        return batch, more is not None

    def _commit(self, waiting: list[_Waiting]) -> list[Place]:
        places: list[Place] = []
        volume = self._writable(0)
        parts: list[bytes] = []
        size = 0
        for each in waiting:
            data = encode(each.record, volume.number)
            length = sum(map(len, data))
            if parts and volume.end + size + length > self._volume_bytes:
                self._write(volume, parts, size)
                parts, size = [], 0
            if not parts:
                fresh = self._writable(length)
                if fresh is not volume:
                    volume, data = fresh, encode(each.record, fresh.number)
            places.append(Place(volume.number, volume.end + size, length))
            parts += data
            size += length
        self._write(volume, parts, size)
        return places

    def _writable(self, length: int) -> Volume:
        """The volume with room for `length` bytes more."""
        volume = self._active
        if volume is not None and volume.end + length > self._volume_bytes and volume.end:
            self._retire(volume)
            volume = None
        if volume is None:
            number = max(self.volumes, default=0) + 1
            volume = Volume.create(self._files, self.folder, number)
            self.volumes[number] = volume
            self._active = volume
        return volume

    def _write(self, volume: Volume, parts: list[bytes], size: int) -> None:
        volume.extend(size)
        try:
            volume.append(b"".join(parts))
        except OSError:
            # Nobody knows what the disk has of it, and a second sync might lie: never write here again.
            self._retire(volume)
            raise

    def _retire(self, volume: Volume) -> None:
        self._active = None
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._seal_later, volume)

    def _seal_later(self, volume: Volume) -> None:
        task = asyncio.ensure_future(asyncio.to_thread(_seal, volume))
        self._sealing.add(task)
        task.add_done_callback(self._sealing.discard)

    def _committed(self, waiting: list[_Waiting], places: list[Place]) -> None:
        for each, place in zip(waiting, places, strict=True):
            record, old, replaces, done = each
            key = record.key
            if replaces is None:
                self._set(key, place)
                if self._summary is not None:
                    self._summary.replace(key, old, stamp_of(record))
                try:
                    self.told(record)
                except Exception:
                    log.exception("who is told of a change can't take it", folder=self.folder)
            elif self.index.get(key) == replaces:
                self._set(key, place)
            self.position = (place.volume, place.offset + place.length)
            self._finished(each)
            done.set_result(None)

    def _failed(self, waiting: list[_Waiting], error: BaseException) -> None:
        for each in waiting:
            self._finished(each)
            each.done.set_exception(error)

    def _finished(self, each: _Waiting) -> None:
        if self.under_way.get(each.record.key) is each.done:
            del self.under_way[each.record.key]

    def is_newest(self, entry: Entry) -> bool:
        place = self.index.get(entry.key)
        return place is not None and place[:2] == entry.place[:2]

    def forget(self, entry: Entry) -> None:
        """Unless it has been replaced."""
        if self.is_newest(entry):
            self.index.drop(entry.key)
            self.volumes[entry.place.volume].live_bytes -= rounded(entry.place.length)
            if self._summary is not None:
                self._summary.replace(entry.key, entry.stamp, None)


def _seal(volume: Volume) -> None:
    try:
        volume.seal()
    except OSError as error:
        # The next start reads the volume itself.
        log.warning(
            "a full volume's list can't be written", volume=volume.number, error=os.strerror(error.errno or 0)
        )
