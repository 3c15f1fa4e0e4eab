"""Which member device has which fragments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from pileus.drivers.object.cluster.member import Member
from pileus.drivers.object.erasure.code import Scheme, Unusable
from pileus.lib.ring.affinity import Nearness, alike
from pileus.lib.ring.ring import Ring


class Places:
    """A ring with as many replicas as an object has fragments, and its members by device id."""

    def __init__(
        self, ring: Ring, members: Mapping[int, Member], scheme: Scheme, near: Nearness = alike
    ) -> None:
        """`near`: whom to read from rather. Raises Unusable where the ring is not one for the scheme."""
        if ring.replicas != scheme.fragments:
            raise Unusable(
                f"the ring has {ring.replicas:g} replicas; {scheme.data}+{scheme.parity} fragments need as many as they are"
            )
        self.ring = ring
        self.scheme = scheme
        self._before = ring
        """The ring before this one."""
        self.members = dict(members)
        self._near = near
        self._of: dict[int, Places.Of] = {}

    class Of(NamedTuple):
        """Those of one partition."""

        primaries: Sequence[Member]
        """By fragment index who ought to have it."""
        handoffs: Sequence[Member]
        """Who stands in for those that are away, in the ring's order; as many as there are fragments, at most, and before
        them those that were primaries until the ring changed."""
        order: Sequence[int]
        """Indexes as they are tried by readers: the nearest first, data before parity."""

    def lose(self, id_: int, absent: Member) -> None:
        """Another stands for a member that is not there; before anybody was placed."""
        self.members[id_] = absent

    def change(self, ring: Ring, members: Mapping[int, Member]) -> None:
        """Another ring, of the same part power and replicas, counts from now on; what is under way goes on by the old."""
        self.members = {**self.members, **members}
        self._of = {}
        if ring.digest != self.ring.digest:
            self._before, self.ring = self.ring, ring

    def of(self, key: bytes) -> Places.Of:
        partition = int.from_bytes(key[:4], "big") >> (32 - self.ring.part_power)
        found = self._of.get(partition)
        if found is None:
            primaries = [self.members[id_] for id_ in self.primary_ids(partition)]
            others = [
                *self._before.primaries(partition),
                *islice(self.ring.handoffs(partition), len(primaries)),
            ]
            ids = dict.fromkeys(device.id for device in others)
            handoffs = [self.members[id_] for id_ in ids if id_ not in self.primary_ids(partition)]
            found = Places.Of(primaries, handoffs, self._order(self.primary_ids(partition)))
            self._of[partition] = found
        return found

    def _order(self, primaries: list[int]) -> list[int]:
        ranks = []
        for id_ in primaries:
            device = self.ring.devices[id_]
            ranks.append(math.inf if device is None else self._near(device))
        return sorted(range(len(primaries)), key=ranks.__getitem__)

    def primary_ids(self, partition: int) -> list[int]:
        """By fragment index the device that ought to have it."""
        return [row[partition] for row in self.ring.rows]

    def holders(self, key: bytes, index: int) -> list[Member]:
        """Where the archive of an index may be, the likeliest first; the other primaries, too, after a change of the ring."""
        of = self.of(key)
        own = of.primaries[index]
        return [own, *of.handoffs, *(each for each in of.primaries if each is not own)]

    def everybody(self) -> Sequence[Member]:
        return list(self.members.values())


def record_ring(ring: Ring, scheme: Scheme) -> Ring:
    """Records have so many replicas that a quorum of them outlives what the fragments outlive."""
    rows = ring.rows[: 2 * scheme.parity + 1]
    return Ring(rows, ring.devices, ring.part_power, version=ring.version, name_hash=ring.name_hash)
