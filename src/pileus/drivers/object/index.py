"""Where the newest record of each key is: some fifty bytes a key, where a dict would take two hundred."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

_SHARDS = 256
"""By the key's first byte: growing one is quick, and keys of one partition stand together."""
_SMALLEST = 8
_EMPTY, _DROPPED = 0, 1
KEY_BYTES = 16
UNIT = 512
"""Lengths are kept in such units, rounded up."""
LONGEST = 0xFFF * UNIT
"""Bytes of a record, at most."""


class Place(NamedTuple):
    """A record: volume (from 1), offset (a multiple of 16), length in bytes, rounded up to a multiple of 512."""

    volume: int
    offset: int
    length: int

    def pack(self) -> int:
        """24 bits of volume, 28 of offset, 12 of length: volumes to 4 GiB, records to 2 MiB."""
        return self.volume << 40 | self.offset // 16 << 12 | -(-self.length // UNIT)

    @classmethod
    def unpack(cls, value: int) -> Place:
        return cls(value >> 40, (value >> 12 & 0xFFFFFFF) * 16, (value & 0xFFF) * UNIT)


def rounded(length: int) -> int:
    """As a place has it that comes out of an index."""
    return -(-length // UNIT) * UNIT


class _Shard:
    """Open addressing, linear probing."""

    __slots__ = ("filled", "keys", "mask", "used", "values")

    def __init__(self, capacity: int = _SMALLEST) -> None:
        self.keys = bytearray(capacity * KEY_BYTES)
        self.values = array("Q", bytes(capacity * 8))
        self.mask = capacity - 1
        self.used = 0
        """Slots that hold a place."""
        self.filled = 0
        """Slots that are not empty."""

    def slot(self, key: bytes) -> int:
        """The key's slot, or the empty one where it belongs."""
        keys, values, mask = self.keys, self.values, self.mask
        at = int.from_bytes(key[8:15], "little") & mask
        while values[at] != _EMPTY and keys[at * KEY_BYTES : at * KEY_BYTES + KEY_BYTES] != key:
            at = at + 1 & mask
        return at

    def grown(self) -> _Shard:
        capacity = _SMALLEST
        while capacity < self.used * 3:
            capacity *= 2
        larger = _Shard(capacity)
        for key, value in self.items():
            at = larger.slot(key)
            larger.keys[at * KEY_BYTES : at * KEY_BYTES + KEY_BYTES] = key
            larger.values[at] = value
        larger.used = larger.filled = self.used
        return larger

    def items(self) -> Iterator[tuple[bytes, int]]:
        for at, value in enumerate(self.values):
            if value > _DROPPED:
                yield bytes(self.keys[at * KEY_BYTES : at * KEY_BYTES + KEY_BYTES]), value


class Index:
    """A mapping from 16-byte keys to places."""

    def __init__(self) -> None:
        self._shards: list[_Shard | None] = [None] * _SHARDS

    def __len__(self) -> int:
        return sum(shard.used for shard in self._shards if shard is not None)

    def get(self, key: bytes) -> Place | None:
        shard = self._shards[key[0]]
        if shard is None:
            return None
        value = shard.values[shard.slot(key)]
        return Place.unpack(value) if value > _DROPPED else None

    def put(self, key: bytes, place: Place) -> Place | None:
        """Returns where it was before."""
        shard = self._shards[key[0]]
        if shard is None:
            shard = self._shards[key[0]] = _Shard()
        at = shard.slot(key)
        before = shard.values[at]
        if before == _EMPTY:
            if (shard.filled + 1) * 3 > (shard.mask + 1) * 2:
                shard = self._shards[key[0]] = shard.grown()
                at = shard.slot(key)
            shard.keys[at * KEY_BYTES : at * KEY_BYTES + KEY_BYTES] = key
            shard.filled += 1
            shard.used += 1
        elif before == _DROPPED:
            shard.used += 1
        shard.values[at] = place.pack()
        return Place.unpack(before) if before > _DROPPED else None

    def drop(self, key: bytes) -> None:
        shard = self._shards[key[0]]
        if shard is not None and shard.values[at := shard.slot(key)] > _DROPPED:
            shard.values[at] = _DROPPED
            shard.used -= 1

    def items(self, first: int = 0, last: int = _SHARDS - 1) -> Iterator[tuple[bytes, Place]]:
        """Those whose key's first byte is one of `first` to `last`."""
        for shard in self._shards[first : last + 1]:
            if shard is not None:
                for key, value in shard.items():
                    yield key, Place.unpack(value)
