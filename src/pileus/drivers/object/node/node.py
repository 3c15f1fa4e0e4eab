"""A storage node: the devices of one host that the rings name, served to proxies and to other nodes.

What becomes durable here is told to the lists by the node that is first in the object's partition; the others have it, too,
but one is enough, and the proxy that wrote it has told them already, unless it died in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog

from pileus.drivers.object.cluster.auditor import Auditor
from pileus.drivers.object.cluster.member import Member as ObjectMember
from pileus.drivers.object.cluster.peer import PATIENCE
from pileus.drivers.object.cluster.peer import Placement as ObjectPlacement
from pileus.drivers.object.cluster.replicator import Replicator
from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.erasure.archive import shown
from pileus.drivers.object.erasure.assemble import assemble, record_ring, scheme_of
from pileus.drivers.object.erasure.code import Unusable
from pileus.drivers.object.listing.daemons import node_daemons, teller_daemons
from pileus.drivers.object.listing.placement import Placement
from pileus.drivers.object.listing.sqlite import SqliteMember
from pileus.drivers.object.listing.store import RingListings
from pileus.drivers.object.node.cluster import remote_lists, remote_objects
from pileus.drivers.object.node.local import folder_of, own_devices
from pileus.drivers.object.node.rings import Rings, list_target, object_target, record_target
from pileus.drivers.object.summary import SUFFIX_POWER
from pileus.drivers.object.wire.members import LISTING_VERBS, OBJECT_VERBS, Peers
from pileus.drivers.object.wire.server import WireServer
from pileus.kernel.clock import Clock
from pileus.lib.ring import Device, Ring
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import listed
from pileus.services.object_store.daemons import Daemons
from pileus.services.object_store.driver import DeviceError, Version

log = structlog.get_logger("pileus.object_store")
ROLES = ("account", "container", "object")

NOTE_SECONDS = 5.0
"""Changes are gathered for so long before lists are told: whoever made them has told them already."""
SETTLE_SECONDS = 30.0
RECLAIM_SECONDS = 7 * 24 * 3600.0
"""For so long a deletion is remembered."""


class _Kept(NamedTuple):
    """One kind of what a device has."""

    folder: str
    target: Callable[[str, int], str]
    told: Callable[[Version], Version] | None
    """What lists are told of a version; None: nothing."""


OBJECTS = _Kept("objects", object_target, lambda version: version)
FRAGMENTS = _Kept("objects", object_target, None)
RECORDS = _Kept("records", record_target, shown)


class StorageNode:
    """Start it, close it, once each."""

    def __init__(
        self,
        devices: Path,
        rings: Rings,
        key: bytes,
        host: str,
        port: int,
        clock: Clock,
        *,
        roles: Sequence[str] = ROLES,
        every_seconds: float | None = None,
    ) -> None:
        """`devices` has a folder for each device, named as the rings do; one that is not there is not served.

        `every_seconds`: from one walk of each daemon to its next; None: as each has it.
        """
        self._every_seconds = every_seconds
        self.devices = devices
        self.rings = rings
        self.server = WireServer(key)
        self._state = devices / ".node"
        self.daemons = Daemons(clock, self._state / "walks")
        self.engines: dict[str, ObjectEngine] = {}
        """By the name that each is served under."""
        self.listings: RingListings | None = None
        self._peers = Peers(key)
        self._host, self._port, self._clock, self._roles = host, port, clock, roles
        self._told: list[Version] = []
        """What lists are to be told, without its bytes."""
        self._settled = ""
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns when it answers. Raises DeviceError, OSError where it can't."""
        own_lists = await self._start_lists()
        await self._start_objects()
        if not self.engines and not own_lists:
            raise DeviceError(
                f"no device of the rings in {self.rings.folder} is at {self._host}:{self._port} and has a folder in "
                f"{self.devices}: --listen must be the address that `pileus ring show` lists, and each device needs a "
                "folder of its name (a mounted disk, normally)"
            )
        await self.server.start(self._host, self._port)
        self.daemons.start()
        self._tasks = [
            asyncio.create_task(self._forever(NOTE_SECONDS, self._note)),
            asyncio.create_task(self._forever(SETTLE_SECONDS, self._settle)),
        ]

    async def close(self) -> None:
        """Answers what is under way, and leaves all durable."""
        await self.server.close()
        for task in self._tasks:
            task.cancel()
        await self.daemons.close()
        for engine in self.engines.values():
            await engine.close()
        try:
            if self.listings is not None:
                await self._settle(self.listings)
                await self.listings.close()
        except DeviceError as error:
            log.warning(
                "lists are not told of the last changes yet; the next start does it", error=str(error)
            )
        await self._peers.close()

    @property
    def served(self) -> list[str]:
        """What can be asked for, by name."""
        return self.server.targets

    def _own(self, ring: Ring, *roles: str) -> list[tuple[Device, Path]]:
        """Devices of the ring that are here, with their folders; none where the node has none of these roles."""
        found = []
        for device in own_devices(ring, self._host, self._port) if {*roles} & {*self._roles} else ():
            folder = folder_of(self.devices, device)
            if folder is None:
                log.error(
                    "a device has no folder, and is not served",
                    device=device.device,
                    within=str(self.devices),
                )
            else:
                found.append((device, folder))
        return found

    async def _start_lists(self) -> bool:
        members = remote_lists(self.rings.lists, self._peers)
        own: dict[int, SqliteMember] = {}
        for device, folder in self._own(self.rings.lists, "account", "container"):
            member = SqliteMember(folder / "lists", self._clock, journal=True)
            own[device.id] = members[device.id] = member
            self.server.serve(list_target(device.device), LISTING_VERBS, member)
        listings = RingListings(Placement(members, self.rings.lists), self._state / "lists", self._clock)
        self._settled = await listings.start()
        self.listings = listings
        for daemon in (*node_daemons(own, listings, self._clock), *teller_daemons(listings)):
            self._add(daemon)
        return bool(own)

    async def _start_objects(self) -> None:
        marks = msgspec.json.decode(self._settled, type=dict[str, str]) if self._settled else {}
        for policy, ring in self.rings.objects.items():
            members, coding = remote_objects(ring, policy, self._peers), self.rings.coding(policy)
            if coding is None:
                local = await self._serve(policy, ring, members, OBJECTS, marks)
                self._look_after(policy, ring, members, local)
                continue
            records = remote_objects(ring, policy, self._peers, record_target)
            local = await self._serve(policy, ring, members, FRAGMENTS, marks)
            await self._serve(policy, ring, records, RECORDS, marks)
            try:
                scheme = scheme_of(coding)
                name = f"object-reconstructor-{policy}"
                _, reconstructor = assemble(ring, members, records, scheme, self._clock, name, local)
            except Unusable as error:
                raise DeviceError(f"storage policy {policy}: {error}") from error
            self._look_after(policy, record_ring(ring, scheme), records, local)
            if local:
                self._add(reconstructor)
                auditor = Auditor(members, local, ring.part_power)
                auditor.name = f"{auditor.name}-{policy}-fragments"
                self._add(auditor)

    async def _serve(
        self,
        policy: int,
        ring: Ring,
        members: dict[int, ObjectMember],
        what: _Kept,
        marks: Mapping[str, str],
    ) -> list[int]:
        """Puts this node's own devices among the members; returns their ids."""
        local = []
        for device, folder in self._own(ring, "object"):
            name = f"{what.folder}-{policy}" if policy else what.folder
            engine = ObjectEngine.on_host(folder / name, suffix_power=SUFFIX_POWER)
            target = what.target(device.device, policy)
            await engine.start(partial(self._heard, ring, device.id, what), marks.get(target, ""))
            self.engines[target] = members[device.id] = engine
            self.server.serve(target, OBJECT_VERBS, engine)
            local.append(device.id)
        return local

    def _look_after(
        self, policy: int, ring: Ring, members: Mapping[int, ObjectMember], local: Sequence[int]
    ) -> None:
        if not local:
            return
        placement = ObjectPlacement(ring, members, self._clock, PATIENCE)
        for daemon in (
            Replicator(placement, local, self._clock, RECLAIM_SECONDS),
            Auditor(members, local, ring.part_power),
        ):
            if policy:
                daemon.name = f"{daemon.name}-{policy}"
            self._add(daemon)

    def _add(self, daemon: Any) -> None:
        if self._every_seconds is not None:
            daemon.every_seconds = self._every_seconds
        self.daemons.add(daemon)

    def _heard(self, ring: Ring, device: int, what: _Kept, version: Version) -> None:
        path_key = int.from_bytes(ring.name_hash(version.path)[:4], "big")
        if what.told is not None and ring.rows[0][path_key >> (32 - ring.part_power)] == device:
            self._told.append(what.told(version)._replace(body=None))

    async def _note(self, listings: RingListings) -> None:
        told, self._told = self._told, []
        for version in told:
            try:
                listed.note(listings, version)
            except msgspec.DecodeError:
                # Sealed by a proxy that encrypts: that one alone can tell the lists.
                continue

    def _mark(self) -> str:
        return msgspec.json.encode(
            {target: engine.mark() for target, engine in self.engines.items()}
        ).decode()

    async def _settle(self, listings: RingListings) -> None:
        """Lists have durably what was told, and space that is of no use any more is free."""
        mark = self._mark()
        await self._note(listings)
        if mark != self._settled:
            await listings.settle(mark)
            self._settled = mark
        forget = Timestamp.at(self._clock.now().timestamp() - RECLAIM_SECONDS)
        for engine in self.engines.values():
            await engine.tidy(forget)

    async def _forever(self, seconds: float, work: Callable[[RingListings], Awaitable[None]]) -> None:
        assert self.listings is not None
        while True:
            await self._clock.sleep(seconds)
            try:
                await work(self.listings)
            except DeviceError as error:
                log.warning("lists can't be told; tried again", error=str(error))
            except Exception:
                log.exception("lists can't be told; tried again")
