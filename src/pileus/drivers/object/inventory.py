"""What a device has, in the terms in which the members of a ring compare themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from pileus.drivers.object.cluster.member import Broken, Stamp
from pileus.drivers.object.group import Group, stamp_of
from pileus.drivers.object.summary import Summary, suffix_of
from pileus.services.object_store.driver import DeviceError


class Inventory:
    """Over the groups of volumes, in the order of the keys' first bits. Without a summary it is no member's."""

    def __init__(self, groups: Sequence[Group], summary: Summary | None) -> None:
        self._groups = groups
        self._summary = summary

    @property
    def summary(self) -> Summary:
        if self._summary is None:
            raise RuntimeError("this device was not made to be a member of a ring")
        return self._summary

    async def stamps(
        self, part_power: int, partition: int, suffixes: Collection[int] | None
    ) -> tuple[Mapping[bytes, Stamp], Collection[bytes]]:
        """Of a partition, or of these suffixes in it; and the keys of which the records are broken."""
        power = self.summary.power
        first, last = partition << 32 - part_power, ((partition + 1) << 32 - part_power) - 1
        places = [
            (group, key, volume, place)
            for group in self._groups
            for key, volume, place in group.places(first >> 24, last >> 24)
            if (
                suffix_of(key, part_power) == partition
                if suffixes is None
                else suffix_of(key, power) in suffixes
            )
        ]

        def read() -> tuple[dict[bytes, Stamp], list[bytes]]:
            found, broken = {}, []
            for group, key, volume, place in places:
                try:
                    if (stamp := stamp_of(group.header_at(volume, place))) is not None:
                        found[key] = stamp
                except Broken:
                    broken.append(key)
            return found, broken

        return await asyncio.to_thread(read)

    def recount(self, key: bytes) -> None:
        """After something broken, of which nobody can say for sure what it was, went: the suffix's summary anew."""
        if self._summary is None:
            return
        stamps = {}
        for group in self._groups:
            for each, volume, place in group.places(key[0], key[0]):
                if suffix_of(each, self._summary.power) == suffix_of(key, self._summary.power):
                    with suppress(DeviceError):
                        stamps[each] = stamp_of(group.header_at(volume, place))
        self._summary.recount(key, stamps)
