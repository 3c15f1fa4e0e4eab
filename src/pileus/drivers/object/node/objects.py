"""What a node has of one storage policy: devices that it serves, and the walks over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pileus.drivers.object.cluster.auditor import Auditor
from pileus.drivers.object.cluster.member import Member
from pileus.drivers.object.cluster.peer import PATIENCE, Placement
from pileus.drivers.object.cluster.replicator import Replicator
from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.erasure.archive import shown
from pileus.drivers.object.erasure.assemble import assemble, scheme_of
from pileus.drivers.object.erasure.code import Unusable
from pileus.drivers.object.erasure.places import Places, record_ring
from pileus.drivers.object.node.cluster import remote_objects
from pileus.drivers.object.node.rings import object_target, record_target
from pileus.drivers.object.summary import SUFFIX_POWER
from pileus.drivers.object.wire.members import OBJECT_VERBS, Peers
from pileus.drivers.object.wire.server import WireServer
from pileus.kernel.clock import Clock
from pileus.lib.ring import Device, Ring
from pileus.services.object_store.daemons import Daemon
from pileus.services.object_store.driver import DeviceError, Version
from pileus.services.object_store.policies import ErasureCoding

Own = Iterable[tuple[Device, Path]]
"""Devices of a ring that are here, with their folders."""


class _Kind(NamedTuple):
    """One kind of what a device has."""

    folder: str
    target: Callable[[str, int], str]
    told: Callable[[Version], Version] | None
    """What lists are told of a version; None: nothing."""


OBJECTS = _Kind("objects", object_target, lambda version: version)
FRAGMENTS = _Kind("objects", object_target, None)
RECORDS = _Kind("records", record_target, shown)


class _Shelf:
    """One kind, on all devices of the policy's ring: own engines, and what reaches those of others."""

    def __init__(self, kind: _Kind) -> None:
        self.kind = kind
        self.members: dict[int, Member] = {}
        self.local: set[int] = set()
        """Ids of those that are here."""

    def take(self, members: Mapping[int, Member]) -> None:
        """Those that the ring has no more stay."""
        self.members.update(members)
        self.local.clear()
        self.local.update(id_ for id_, each in self.members.items() if isinstance(each, ObjectEngine))

    def say(self, ring: Ring) -> None:
        for member in self.members.values():
            if isinstance(member, ObjectEngine):
                member.ring_digest = ring.digest


class PolicyObjects:
    """`engines` are those of all policies of the node, by the name that each is served under."""

    def __init__(
        self,
        policy: int,
        coding: ErasureCoding | None,
        peers: Peers,
        server: WireServer,
        engines: dict[str, ObjectEngine],
        heard: Callable[[Version], None],
        clock: Clock,
        reclaim_seconds: float,
    ) -> None:
        """`heard` is told what lists are to be told, by the node that is first in an object's partition."""
        self._policy = policy
        self._coding = coding
        self._peers, self._server, self._engines = peers, server, engines
        self._heard = heard
        self._clock = clock
        self._reclaim_seconds = reclaim_seconds
        self._shelves = [_Shelf(OBJECTS)] if coding is None else [_Shelf(FRAGMENTS), _Shelf(RECORDS)]
        self._ring: Ring
        self._placement: Placement
        """Of what is replicated."""
        self._places: Places | None = None
        """Of what is coded."""
        self._ids: dict[str, int] = {}
        """In the ring, by the name that each own device is served under."""

    async def start(self, ring: Ring, own: Own, marks: Mapping[str, str]) -> list[Daemon]:
        """The walks over what is here. Raises DeviceError."""
        self._ring = ring
        await self._take(ring, own, marks)
        kept = self._shelves[-1]
        daemons: list[Daemon] = []
        if self._coding is None:
            self._placement = Placement(ring, kept.members, self._clock, PATIENCE)
        else:
            daemons += self._coded_daemons(ring, self._coding)
        for daemon in (
            Replicator(self._placement, kept.local, self._clock, self._reclaim_seconds),
            Auditor(kept.members, kept.local, ring.part_power),
        ):
            if self._policy:
                daemon.name = f"{daemon.name}-{self._policy}"
            daemons.append(daemon)
        return daemons

    def _coded_daemons(self, ring: Ring, coding: ErasureCoding) -> list[Daemon]:
        fragments, records = self._shelves
        try:
            scheme, name = scheme_of(coding), f"object-reconstructor-{self._policy}"
            device, reconstructor = assemble(
                ring, fragments.members, records.members, scheme, self._clock, name, fragments.local
            )
        except Unusable as error:
            raise DeviceError(f"storage policy {self._policy}: {error}") from error
        self._places, self._placement = device.places, device.records.placement
        auditor = Auditor(fragments.members, fragments.local, ring.part_power)
        auditor.name = f"{auditor.name}-{self._policy}-fragments"
        return [reconstructor, auditor]

    async def change(self, ring: Ring, own: Own) -> None:
        """Another ring counts from now on. A device that it has no more goes on giving away what it holds."""
        await self._take(ring, own, {})
        self._ring = ring
        if self._places is None:
            self._placement.change(ring, self._shelves[0].members)
        else:
            self._places.change(ring, self._shelves[0].members)
            self._placement.change(record_ring(ring, self._places.scheme), self._shelves[1].members)

    async def host(self, target: str, device: str, folder: Path) -> None:
        """Serves what is asked for under that name, if it is of this policy, though no ring here places it here yet."""
        for shelf in self._shelves:
            if shelf.kind.target(device, self._policy) == target and target not in self._engines:
                await self._open(shelf.kind, target, folder, {})

    async def withdraw(self, device: str) -> None:
        """Its disk is gone, or another."""
        for shelf in self._shelves:
            target = shelf.kind.target(device, self._policy)
            if (engine := self._engines.pop(target, None)) is not None:
                self._server.withdraw(target)
                await engine.close()

    def agree(self) -> None:
        """From now on it is said of the devices here that they go by that ring."""
        if self._places is not None:
            self._shelves[0].say(self._places.ring)
        self._shelves[-1].say(self._placement.ring)

    async def _take(self, ring: Ring, own: Own, marks: Mapping[str, str]) -> None:
        """Makes the members what the ring says; engines that are there stay what they are."""
        here = list(own)
        for shelf in self._shelves:
            members = remote_objects(ring, self._policy, self._peers, shelf.kind.target)
            for device, folder in here:
                target = shelf.kind.target(device.device, self._policy)
                if target not in self._engines:
                    await self._open(shelf.kind, target, folder, marks)
                self._ids[target] = device.id
                members[device.id] = self._engines[target]
            shelf.take(members)

    async def _open(self, kind: _Kind, target: str, folder: Path, marks: Mapping[str, str]) -> None:
        name = f"{kind.folder}-{self._policy}" if self._policy else kind.folder
        engine = ObjectEngine.shared(folder / name, SUFFIX_POWER, self._clock)
        await engine.start(
            partial(self._changed, kind), marks.get(target, ""), partial(self._is_told, target, kind)
        )
        self._engines[target] = engine
        self._server.serve(target, OBJECT_VERBS, engine)

    def _is_told(self, target: str, kind: _Kind, key: bytes) -> bool:
        first = self._ring.rows[0][int.from_bytes(key[:4], "big") >> 32 - self._ring.part_power]
        return kind.told is not None and first == self._ids.get(target)

    def _changed(self, kind: _Kind, version: Version) -> None:
        assert kind.told is not None
        self._heard(kind.told(version)._replace(body=None))
