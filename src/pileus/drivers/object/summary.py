"""What a device holds, in one number for each stretch of keys, so that two devices find out cheaply where they differ."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping
from hashlib import blake2b

from pileus.drivers.object.cluster.member import Stamp

_STAMP = struct.Struct("<16sQQQQ?")
SUFFIX_POWER = 16
"""Bits of the key that a suffix is, unless partitions have more."""


def suffix_of(key: bytes, power: int) -> int:
    """The first `power` bits of a key."""
    return int.from_bytes(key[:4], "big") >> 32 - power


class Summary:
    """A cell for each suffix: the exclusive or of the digests of all stamps in it, so that a change costs one digest."""

    def __init__(self, power: int = SUFFIX_POWER) -> None:
        self.power = power
        self._cells = array("Q", bytes(8 << power))

    def replace(self, key: bytes, old: Stamp | None, new: Stamp | None) -> None:
        changed = _digest(key, new)
        if old is not None:
            changed ^= _digest(key, old)
        self._cells[suffix_of(key, self.power)] ^= changed

    def recount(self, key: bytes, stamps: Mapping[bytes, Stamp | None]) -> None:
        """`stamps` are all that there is in the suffix of `key`."""
        cell = 0
        for each, stamp in stamps.items():
            cell ^= _digest(each, stamp)
        self._cells[suffix_of(key, self.power)] = cell

    def partitions(self, part_power: int) -> dict[int, int]:
        """Partitions that hold anything."""
        found: dict[int, int] = {}
        shift = self.power - part_power
        for suffix, cell in enumerate(self._cells):
            if cell:
                found[suffix >> shift] = found.get(suffix >> shift, 0) ^ cell
        return found

    def suffixes(self, part_power: int, partition: int) -> dict[int, int]:
        """Suffixes of a partition that hold anything."""
        shift = self.power - part_power
        first = partition << shift
        cells = self._cells[first : first + (1 << shift)]
        return {first + number: cell for number, cell in enumerate(cells) if cell}


def _digest(key: bytes, stamp: Stamp | None) -> int:
    if stamp is None:
        return 0
    packed = _STAMP.pack(key, *stamp.timestamp, *stamp.changed, stamp.deleted)
    return int.from_bytes(blake2b(packed, digest_size=8).digest(), "little")
