"""A storage node: the devices of one host that the rings name, served to proxies and to other nodes.

What becomes durable here is told to the lists by the node that is first in the object's partition; the others have it, too,
but one is enough, and the proxy that wrote it has told them already, unless it died in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.listing.daemons import node_daemons, teller_daemons
from pileus.drivers.object.listing.member import Member as ListingMember
from pileus.drivers.object.listing.placement import Placement
from pileus.drivers.object.listing.sharder import SHARD_ROWS
from pileus.drivers.object.listing.sqlite import SqliteMember
from pileus.drivers.object.listing.store import RingListings
from pileus.drivers.object.node.cluster import remote_lists
from pileus.drivers.object.node.disks import DiskWatcher
from pileus.drivers.object.node.follower import RingFollower
from pileus.drivers.object.node.local import own_devices
from pileus.drivers.object.node.objects import PolicyObjects
from pileus.drivers.object.node.rings import Rings, list_target
from pileus.drivers.object.presence import Presence
from pileus.drivers.object.wire.members import LISTING_VERBS, Peers
from pileus.drivers.object.wire.server import WireServer
from pileus.kernel.clock import Clock
from pileus.lib.ring import Device, Ring
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import listed
from pileus.services.object_store.daemons import Daemons
from pileus.services.object_store.driver import RECLAIM_SECONDS, DeviceError, Version

log = structlog.get_logger("pileus.object_store")
ROLES = ("account", "container", "object")

NOTE_SECONDS = 5.0
"""Changes are gathered for so long before lists are told: whoever made them has told them already."""
SETTLE_SECONDS = 30.0


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
        shard_rows: int = SHARD_ROWS,
    ) -> None:
        """`devices` has a folder for each device, named as the rings do; one that is not there is not served.

        `every_seconds`: from one walk of each daemon to its next; None: as each has it. `shard_rows`: containers with
        more objects are split.
        """
        self._every_seconds = every_seconds
        self._shard_rows = shard_rows
        self.devices = devices
        self.follower = RingFollower(rings, clock, self._change, self._agree)
        self.disks = DiskWatcher(self._folders, self._withdraw, self._take)
        self.server = WireServer(key, self._fetch)
        self._state = devices / ".node"
        self.daemons = Daemons(clock, self._state / "walks")
        self.engines: dict[str, ObjectEngine] = {}
        """By the name that each is served under."""
        self.listings: RingListings | None = None
        self._presence = Presence(clock)
        self._refused: dict[Path, DeviceError | None] = {}
        """By the folder of each device why it is not served; None: it is."""
        self._policies: dict[int, PolicyObjects] = {}
        self._list_members: dict[int, ListingMember] = {}
        self._lists: dict[int, SqliteMember] = {}
        """Those of them that are here."""
        self._guests: dict[Path, SqliteMember] = {}
        """Lists that were asked for here before a ring placed them here."""
        self._turn = asyncio.Lock()
        """Of those who change what is served."""
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
            if refusal := next(filter(None, self._refused.values()), None):
                raise refusal
            raise DeviceError(
                f"no device of the rings in {self.follower.rings.folder} is at {self._host}:{self._port} and has a folder in "
                f"{self.devices}: --listen must be the address that `pileus ring show` lists, and each device needs a "
                "folder of its name (a mounted disk, normally)"
            )
        self._add(self.follower)
        self._add(self._presence)
        self._add(self.disks)
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
                for guest in self._guests.values():
                    await guest.close()
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
            folder = self.devices / device.device
            # Never made: a disk that is not mounted must not fill what is below it.
            if not self.disks.is_there(folder):
                log.error(
                    "a device has no folder, and is not served",
                    device=device.device,
                    within=str(self.devices),
                )
            elif self._is_welcome(folder):
                found.append((device, folder))
        return found

    def _is_welcome(self, folder: Path) -> bool:
        """Asked once for each device, and remembered as long as the node runs."""
        if folder not in self._refused:
            try:
                self._presence.begin(folder)
                self._refused[folder] = None
            except DeviceError as error:
                log.error("a device is not served", device=folder.name, reason=str(error))
                self._refused[folder] = error
        return self._refused[folder] is None

    async def _start_lists(self) -> bool:
        rings = self.follower.rings
        await self._take_lists(rings)
        placement = Placement(self._list_members, rings.lists)
        self.listings = listings = RingListings(placement, self._state / "lists", self._clock)
        self._settled = await listings.start()
        walks = node_daemons(self._lists, listings, self._clock, shard_rows=self._shard_rows)
        for daemon in (*walks, *teller_daemons(listings)):
            self._add(daemon)
        return bool(self._lists)

    async def _take_lists(self, rings: Rings) -> None:
        """Makes the members what the ring says; a device that it has no more goes on giving away what it holds."""
        members = remote_lists(rings.lists, self._peers)
        known = {**self._guests, **{member.folder: member for member in self._lists.values()}}
        for device, folder in self._own(rings.lists, "account", "container"):
            member = known.get(folder / "lists") or await self._open_lists(device.device)
            self._guests.pop(member.folder, None)
            members[device.id] = member
        self._list_members.update(members)
        self._lists.clear()
        self._lists.update(
            (id_, each) for id_, each in self._list_members.items() if isinstance(each, SqliteMember)
        )

    async def _open_lists(self, device: str) -> SqliteMember:
        member = SqliteMember(self.devices / device / "lists", self._clock, journal=True)
        await member.start()
        self.server.serve(list_target(device), LISTING_VERBS, member)
        return member

    def _agree(self, rings: Rings) -> None:
        """From now on this node says that it goes by these rings, so that others may rely on it."""
        for member in self._lists.values():
            member.ring_digest = rings.lists.digest
        for part in self._policies.values():
            part.agree()

    async def _start_objects(self) -> None:
        marks = msgspec.json.decode(self._settled, type=dict[str, str]) if self._settled else {}
        rings = self.follower.rings
        for policy, ring in rings.objects.items():
            part = self._policies[policy] = PolicyObjects(
                policy,
                rings.coding(policy),
                self._peers,
                self.server,
                self.engines,
                self._told.append,
                self._clock,
                RECLAIM_SECONDS,
            )
            for daemon in await part.start(ring, self._own(ring, "object"), marks):
                if "object" in self._roles:
                    self._add(daemon)

    async def _change(self, rings: Rings) -> None:
        """New rings; a device that they place here is served from now on."""
        assert self.listings is not None
        async with self._turn:
            await self._take_lists(rings)
            self.listings.router.placement.change(rings.lists, self._list_members)
            for policy, ring in rings.objects.items():
                await self._policies[policy].change(ring, self._own(ring, "object"))

    async def _take(self) -> None:
        await self._change(self.follower.rings)

    def _folders(self) -> list[Path]:
        """Of all devices that the rings place here, there or not."""
        rings = self.follower.rings
        places = [
            (rings.lists, {"account", "container"}),
            *((ring, {"object"}) for ring in rings.objects.values()),
        ]
        return [
            self.devices / device.device
            for ring, roles in places
            if roles & {*self._roles}
            for device in own_devices(ring, self._host, self._port)
        ]

    async def _withdraw(self, folder: Path) -> None:
        """What is under way there fails; others stand in."""
        async with self._turn:
            self._refused.pop(folder, None)
            self._presence.end(folder)
            for id_, member in list(self._lists.items()):
                if member.folder.parent == folder:
                    self.server.withdraw(list_target(folder.name))
                    del self._lists[id_]
                    await member.close()
            for part in self._policies.values():
                await part.withdraw(folder.name)

    async def _fetch(self, target: str) -> None:
        """Who asks for what is not served goes by newer rings, or has seen a disk earlier."""
        await self.follower.look()
        await self.disks.look()
        _, _, device = target.partition("/")
        folder = self.devices / device
        async with self._turn:
            if target in self.served or not device or "/" in device or device.startswith("."):
                return
            if not self.disks.is_there(folder) or not self._is_welcome(folder):
                return
            if target == list_target(device) and {"account", "container"} & {*self._roles}:
                guest = await self._open_lists(device)
                self._guests[guest.folder] = guest
            for part in self._policies.values() if "object" in self._roles else ():
                await part.host(target, device, folder)
        if target in self.served:
            log.info("a device is served that no ring here places here yet", target=target)

    def _add(self, daemon: Any) -> None:
        if self._every_seconds is not None:
            daemon.every_seconds = self._every_seconds
        self.daemons.add(daemon)

    async def _note(self, listings: RingListings) -> None:
        told = self._told.copy()
        self._told.clear()
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
