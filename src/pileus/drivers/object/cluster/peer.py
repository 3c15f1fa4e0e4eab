"""Where keys live: a ring's devices, how each of them does, and which are asked for a key."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

import structlog

from pileus.drivers.object.cluster.member import Member
from pileus.kernel.clock import Clock
from pileus.lib.ring.affinity import NONE, Affinity, everywhere, nearest_first
from pileus.lib.ring.device import Device
from pileus.lib.ring.ring import Ring

log = structlog.get_logger("pileus.object_store")


class Patience(NamedTuple):
    """How long devices are waited for, and how often one may fail (Swift's names and defaults in brackets)."""

    slow_seconds: float = 0.5
    """After so long another is asked as well (`concurrency_timeout`)."""
    answer_seconds: float = 10.0
    """After so long without an answer it has failed (`node_timeout`)."""
    errors: int = 10
    """After so many failures in a row a device is asked only where no other is left
    (`error_suppression_limit`)…"""
    suspended_seconds: float = 60.0
    """…for so long (`error_suppression_interval`)."""
    behind: int = 1024
    """So many writes may be under way to one device…"""
    behind_bytes: int = 32 * 1024 * 1024
    """…of so many bytes together; then it is passed over."""


PATIENCE = Patience()


class Peer:
    """A device of the ring, and how it does."""

    def __init__(self, id_: int, member: Member, clock: Clock, patience: Patience) -> None:
        self.id = id_
        self.member = member
        self._clock = clock
        self._patience = patience
        self._errors = 0
        self._suspended_until = 0.0
        self.behind = 0
        """Writes under way to it."""
        self.behind_bytes = 0

    @property
    def suspended(self) -> bool:
        return self._errors >= self._patience.errors and self._clock.monotonic() < self._suspended_until

    @property
    def overrun(self) -> bool:
        return self.behind >= self._patience.behind or self.behind_bytes >= self._patience.behind_bytes

    def well(self) -> None:
        """It answered."""
        self._errors = 0

    def ill(self, why: object) -> None:
        """It failed, or did not answer in time."""
        self._errors += 1
        if self._errors >= self._patience.errors:
            if not self.suspended:
                log.warning("a device of the ring is passed over for a while", device=self.id, error=str(why))
            self._suspended_until = self._clock.monotonic() + self._patience.suspended_seconds


class Seats(NamedTuple):
    """Who is asked for the keys of one partition."""

    primaries: tuple[Peer, ...]
    """The nearest first, otherwise in the ring's order."""
    handoffs: tuple[Peer, ...]
    """In the order in which they stand in; as many as there are replicas, at most, and before them those that were
    primaries until the ring changed."""
    first: tuple[Peer, ...]
    """Whom new data go to first: the primaries, or with a place of the proxy's own those that are there, a primary at least."""
    rest: tuple[Peer, ...]
    """Who stands in for one of the first that fails."""


Voters = tuple[frozenset[Peer], ...]
"""Groups of devices; what is to be decided, most of each have agreed to."""
AGREED_SECONDS = 60.0
"""After so long nobody is taken to go by the ring before this one."""


class Placement:
    """A ring and the devices behind it. `members` has all of the ring's devices by id."""

    def __init__(
        self,
        ring: Ring,
        members: Mapping[int, Member],
        clock: Clock,
        patience: Patience,
        affinity: Affinity = NONE,
    ) -> None:
        self.ring = ring
        self._before = ring
        """The ring before this one."""
        self._agreed_at = clock.monotonic()
        """Since when nobody goes by that one any more."""
        self._affinity = affinity
        self.patience = patience
        self._clock = clock
        self.peers = {id_: Peer(id_, member, clock, patience) for id_, member in members.items()}
        self._shift = 32 - ring.part_power
        self._seats: dict[int, Seats] = {}

    def change(self, ring: Ring, members: Mapping[int, Member]) -> None:
        """Another ring, of the same part power, counts from now on; what has its seats already goes on with these.

        Devices that it names no more can be reached still: they have what has not moved yet. The same ring again only
        brings other members.
        """
        news = {
            id_: Peer(id_, member, self._clock, self.patience)
            for id_, member in members.items()
            if id_ not in self.peers or self.peers[id_].member is not member
        }
        self.peers = {**self.peers, **news}
        self._seats = {}
        if ring.digest != self.ring.digest:
            self._before, self.ring = self.ring, ring
            self._agreed_at = self._clock.monotonic() + AGREED_SECONDS

    def partition(self, key: bytes) -> int:
        return int.from_bytes(key[:4], "big") >> self._shift

    def of(self, key: bytes) -> Seats:
        partition = int.from_bytes(key[:4], "big") >> self._shift
        seats = self._seats.get(partition)
        if seats is None:
            seats = self._seats[partition] = self.seats(partition)
        return seats

    def every(self, key: bytes) -> tuple[Peer, ...]:
        """All that are asked for a key, in order."""
        seats = self.of(key)
        return seats.primaries + seats.handoffs

    def voters(self, key: bytes) -> Voters:
        """Who says whose turn it is to write: primaries, an odd number of devices where there are enough. After a change
        of the ring those of both, as others go by the old one."""
        rings = [self.ring] if self._clock.monotonic() >= self._agreed_at else [self.ring, self._before]
        return tuple(self._group(ring, self.partition(key)) for ring in rings)

    def _group(self, ring: Ring, partition: int) -> frozenset[Peer]:
        ids = list(dict.fromkeys(device.id for device in ring.primaries(partition)))
        if len(ids) % 2 == 0:
            ids += [device.id for device in islice(ring.handoffs(partition), 1)]
        return frozenset(self.peers[id_] for id_ in ids)

    def seats(self, partition: int) -> Seats:
        devices = {
            device.id: device for device in nearest_first(self.ring.primaries(partition), self._affinity.near)
        }
        count = len(devices)
        others = [*self._before.primaries(partition), *islice(self.ring.handoffs(partition), count)]
        handoffs = {device.id: device for device in others if device.id not in devices}
        first = self._first([*devices.values()], [*handoffs.values()])
        return Seats(
            tuple(self.peers[id_] for id_ in devices),
            tuple(self.peers[id_] for id_ in handoffs),
            tuple(self.peers[id_] for id_ in first),
            tuple(self.peers[id_] for id_ in (*devices, *handoffs) if id_ not in first),
        )

    def _first(self, primaries: list[Device], handoffs: list[Device]) -> list[int]:
        local = self._affinity.local
        if local is everywhere:
            return [device.id for device in primaries]
        # A primary comes first in any case: a read asks them all, and so meets one that knows.
        home = [each for each in primaries if local(each)] or primaries[:1]
        away = [each for each in primaries if each not in home]
        chosen = [*home, *(each for each in handoffs if local(each)), *away]
        return [device.id for device in chosen[: len(primaries)]]


def quorum(replicas: int) -> int:
    """Copies that must be durable before a write is acknowledged: half of them, rounded up, as Swift has it."""
    return (replicas + 1) // 2
