"""Which member device has which fragments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pileus.drivers.object.cluster.member import Member
from pileus.drivers.object.erasure.code import Scheme, Unusable
from pileus.lib.ring.ring import Ring


class Places:
    """A ring with as many replicas as an object has fragments, and its members by device id."""

    def __init__(self, ring: Ring, members: Mapping[int, Member], scheme: Scheme) -> None:
        """Raises Unusable where the ring is not one for the scheme."""
        if ring.replicas != scheme.fragments:
            raise Unusable(
                f"the ring has {ring.replicas:g} replicas; {scheme.data}+{scheme.parity} fragments need as many as they are"
            )
        self.ring = ring
        self.members = members

    def partition(self, key: bytes) -> int:
        return int.from_bytes(key[:4], "big") >> (32 - self.ring.part_power)

    def primary_ids(self, partition: int) -> list[int]:
        """By fragment index the device that ought to have it."""
        return [row[partition] for row in self.ring.rows]

    def primaries(self, key: bytes) -> list[Member]:
        return [self.members[id_] for id_ in self.primary_ids(self.partition(key))]

    def handoffs(self, key: bytes) -> Iterator[Member]:
        """Those that stand in for primaries that are away, in the ring's order."""
        for device in self.ring.handoffs(self.partition(key)):
            yield self.members[device.id]

    def holders(self, key: bytes, index: int) -> Iterator[Member]:
        """Where the archive of an index may be, the likeliest first."""
        primaries = self.primaries(key)
        yield primaries[index]
        yield from self.handoffs(key)

    def everybody(self) -> Sequence[Member]:
        return list(self.members.values())
