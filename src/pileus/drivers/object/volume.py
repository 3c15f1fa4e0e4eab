"""A volume: a file that only grows, full of records, and once it is full the list of them beside it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from pileus.drivers.object.cluster.member import Stamp
from pileus.drivers.object.files import File, Files
from pileus.drivers.object.index import LONGEST, Place
from pileus.drivers.object.record import (
    ALIGN,
    HEADER_BYTES,
    MAGIC,
    Header,
    Kind,
    Record,
    Torn,
    decode,
    decode_header,
    sound_header,
)
from pileus.lib.crc32 import crc32
from pileus.lib.timestamp import Timestamp

VOLUME, LIST = ".vol", ".idx"
ZERO_STEP = 1024 * 1024
"""So much is written with zeros ahead: a sync over blocks that exist has no metadata to write."""
_ZEROS = bytes(ZERO_STEP)
"""Kept: made anew each time they cost ten times what it takes to write them."""
SCAN_BYTES = 1024 * 1024
_ENTRY = struct.Struct("<16sBxxxIIQQQQ")
_LIST_HEAD = struct.Struct("<4sIIQ")
_LIST_MAGIC = b"PVI1"


class Entry(NamedTuple):
    """A record, without what is in it."""

    key: bytes
    kind: Kind
    order: tuple[Timestamp, Timestamp]
    place: Place

    @property
    def stamp(self) -> Stamp | None:
        """None where it says that there is nothing here."""
        if self.kind in (Kind.DROPPED, Kind.BROKEN):
            return None
        return Stamp(*self.order, self.kind is Kind.DELETED)


class Volume:
    """Written by one thread; read by any."""

    def __init__(self, files: Files, folder: str, number: int, file: File) -> None:
        self.number = number
        self.file = file
        self.end = 0
        """Where the next record goes. What is behind it is of no account, and nobody was told of it."""
        self.live_bytes = 0
        """Of records that are the newest of their keys."""
        self.sealed = False
        self._files = files
        self._folder = folder
        self._zeroed = 0

    @classmethod
    def create(cls, files: Files, folder: str, number: int) -> Volume:
        """Its name is durable when this returns."""
        files.unlink(
            f"{folder}/{number:08d}{LIST}"
        )  # of an earlier one, whose removal a power cut left half done
        file = files.create(f"{folder}/{number:08d}{VOLUME}")
        files.sync_folder(folder)
        return cls(files, folder, number, file)

    @classmethod
    def open(cls, files: Files, folder: str, number: int) -> Volume:
        return cls(files, folder, number, files.open(f"{folder}/{number:08d}{VOLUME}"))

    def extend(self, length: int) -> None:
        """Makes room for so many bytes more. Raises OSError, and nothing has happened."""
        while self._zeroed < self.end + length:
            self.file.write(_ZEROS, self._zeroed)
            self._zeroed += ZERO_STEP

    def append(self, data: bytes) -> None:
        """Durable when this returns; where it raises OSError the volume must not be written again."""
        self.file.write(data, self.end)
        self.file.sync()
        self.end += len(data)

    def read(self, place: Place) -> Record:
        """Raises Torn where the disk gives back something else than was written."""
        return decode(self.file.read(place.length, place.offset), self.number)[0]

    def read_cached(self, place: Place) -> Record | None:
        """None where the disk would have to be waited for."""
        data = self.file.read_cached(place.length, place.offset)
        return None if data is None else decode(data, self.number)[0]

    def header_cached(self, place: Place) -> Header | None:
        data = self.file.read_cached(HEADER_BYTES, place.offset)
        return None if data is None else decode_header(data)

    def sound_header_cached(self, place: Place) -> Header | None:
        """None where the disk would have to be waited for. Raises Torn where any of the record is wrong."""
        data = self.file.read_cached(place.length, place.offset)
        return None if data is None else sound_header(data, self.number)

    def header(self, place: Place) -> Header:
        """Raises Torn; its fields are not checked against the checksum."""
        return decode_header(self.file.read(HEADER_BYTES, place.offset))

    def entries(self) -> Iterator[Entry]:
        """All records, from the list beside the volume, or from the volume itself; finds the end."""
        listed = self._listed()
        if listed is not None:
            self.sealed = True
            yield from listed
            return
        self.end = 0
        for entry in self._scan():
            self.end = entry.place.offset + entry.place.length
            yield entry

    def _scan(self) -> Iterator[Entry]:
        """All whole records. One that is torn or rotten is passed over: what stands behind it is sound."""
        window, start = b"", 0
        at: int | None = 0
        while at is not None:
            try:
                record, length = decode(window, self.number, at - start)
            except Torn:
                if at != start or not window:  # it may only be the window that ends here
                    window, start = self._window(at), at
                    if not window:
                        return
                else:
                    at = self._next_magic(at + ALIGN)
                continue
            order = (record.timestamp, record.changed)
            yield Entry(record.key, record.kind, order, Place(self.number, at, length))
            at += length

    def _window(self, at: int) -> bytes:
        """The record at `at`, and what is behind it."""
        try:
            needed = decode_header(self.file.read(HEADER_BYTES, at)).length
        except Torn:
            needed = 0
        return self.file.read(max(SCAN_BYTES, min(needed, LONGEST)), at)

    def _next_magic(self, at: int) -> int | None:
        """Where the next record may begin."""
        while block := self.file.read(SCAN_BYTES, at):
            spot = block.find(MAGIC)
            while spot >= 0 and spot % ALIGN:
                spot = block.find(MAGIC, spot + 1)
            if spot >= 0:
                return at + spot
            at += len(block)
        return None

    def resume(self) -> bool:
        """Whether it may be written further: after a scan, where nothing but zeros is behind the end.

        What was found is made durable first: it may have been in memory only, and is shown from now on.
        """
        self.file.sync()
        at = self.end
        while tail := self.file.read(SCAN_BYTES, at):
            if tail.count(0) != len(tail):
                return False
            at += len(tail)
        self._zeroed = at
        return True

    def seal(self) -> None:
        """Writes the list beside it; from now on records are what the list has."""
        kept = [entry for entry in self._scan() if entry.place.offset < self.end]
        body = b"".join(
            _ENTRY.pack(
                entry.key,
                entry.kind,
                entry.place.offset // 16,
                entry.place.length,
                *entry.order[0],
                *entry.order[1],
            )
            for entry in kept
        )
        head = _LIST_HEAD.pack(_LIST_MAGIC, crc32(body), len(kept), self.end)
        name = f"{self._folder}/{self.number:08d}{LIST}"
        self._files.unlink(name + ".new")
        new = self._files.create(name + ".new")
        new.write(head + body, 0)
        new.sync()
        new.close()
        self._files.unlink(name)
        self._files.link(name + ".new", name)
        self._files.unlink(name + ".new")
        self._files.sync_folder(self._folder)
        self.sealed = True

    def _listed(self) -> list[Entry] | None:
        try:
            file = self._files.open(f"{self._folder}/{self.number:08d}{LIST}")
        except FileNotFoundError:
            return None
        data = file.read(file.size(), 0)
        file.close()
        if len(data) < _LIST_HEAD.size:
            return None
        magic, checksum, count, end = _LIST_HEAD.unpack_from(data)
        body = data[_LIST_HEAD.size :]
        if magic != _LIST_MAGIC or crc32(body) != checksum or len(body) != count * _ENTRY.size:
            return None
        self.end = end
        return [
            Entry(
                key,
                Kind(kind),
                (Timestamp(*times[:2]), Timestamp(*times[2:])),
                Place(self.number, offset * 16, length),
            )
            for key, kind, offset, length, *times in _ENTRY.iter_unpack(body)
        ]

    def remove(self) -> None:
        """Gives back its space. Readers that have it open go on."""
        self._files.unlink(f"{self._folder}/{self.number:08d}{LIST}")
        self._files.unlink(f"{self._folder}/{self.number:08d}{VOLUME}")
        self._files.sync_folder(self._folder)
