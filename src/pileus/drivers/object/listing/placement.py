"""Which devices have the lists of a path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pileus.drivers.object.listing.member import Member
from pileus.lib.ring.ring import Ring


class Place(NamedTuple):
    id: int
    """The device's, in the ring."""
    member: Member


class Placement:
    """A ring and its devices' members; without a ring the only member has all."""

    def __init__(self, members: Mapping[int, Member], ring: Ring | None = None) -> None:
        if ring is None and len(members) != 1:
            raise ValueError("several members need a ring")
        self.members = members
        self.ring = self._before = ring
        self._all = [Place(*each) for each in members.items()]

    def change(self, ring: Ring, members: Mapping[int, Member]) -> None:
        """Another ring counts from now on. Devices that it names no more can be reached still."""
        self.members = {**self.members, **members}
        if self.ring is None or ring.digest != self.ring.digest:
            self._before, self.ring = self.ring, ring

    def displaced(self, path: str) -> list[Place]:
        """Who was a primary until the ring changed: a list that no primary has may be on its way from there."""
        if self.ring is None or self._before is None or self.ring is self._before:
            return []
        now = {place.id for place in self.primaries(path)}
        before = self._before.primaries(self._before.partition(path))
        return [Place(each.id, self.members[each.id]) for each in before if each.id not in now]

    def primaries(self, path: str) -> list[Place]:
        if self.ring is None:
            return self._all
        devices = self.ring.primaries(self.ring.partition(path))
        return [Place(device.id, self.members[device.id]) for device in devices]

    def handoffs(self, path: str) -> Iterator[Place]:
        """Who stands in, the first first."""
        if self.ring is not None:
            for device in self.ring.handoffs(self.ring.partition(path)):
                yield Place(device.id, self.members[device.id])

    def others(self, path: str, own: int) -> tuple[list[Place], bool]:
        """Primaries but for that device, and whether it is one itself."""
        primaries = self.primaries(path)
        return [place for place in primaries if place.id != own], any(place.id == own for place in primaries)


def quorum(replicas: int) -> int:
    return replicas // 2 + 1
