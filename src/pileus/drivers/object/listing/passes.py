"""What walks over the lists of this process's own devices have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

import structlog

from pileus.drivers.object.listing.sqlite import SqliteMember
from pileus.drivers.object.listing.store import RingListings
from pileus.kernel.clock import Clock
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.daemons import Walk
from pileus.services.object_store.driver import RECLAIM_SECONDS, DeviceError

log = structlog.get_logger("pileus.object_store.listings")
PAGE = 200


class Here(NamedTuple):
    """One database on one of our own devices."""

    device: int
    member: SqliteMember
    path: str


class Walker:
    """Goes over every database of our own devices; a subclass says what it does with one."""

    name: str
    every_seconds = 30.0
    per_second = 500.0

    def __init__(self, members: Mapping[int, SqliteMember], listings: RingListings, clock: Clock) -> None:
        self.members = members
        self.listings = listings
        self.router = listings.router
        self.clock = clock
        self._done = ""

    async def pace(self, walk: Walk, steps: float) -> None:
        """Within a database, that has been worth so many steps so far."""
        await walk.step(self._done, steps)

    async def walk(self, walk: Walk) -> None:
        async for here in self._databases(walk):
            try:
                await self.see(here, walk)
            except DeviceError as error:
                walk.count(failures=1)
                log.warning("passed over", daemon=self.name, path=here.path, error=str(error))

    async def see(self, here: Here, walk: Walk) -> None:
        """What is wrong with one raises DeviceError; it is looked at again in the next walk."""
        raise NotImplementedError

    async def _databases(self, walk: Walk) -> AsyncIterator[Here]:
        since_device, _, since = walk.since.partition("/")
        self._done = walk.since
        for device, member in sorted(self.members.items()):
            if walk.since and device < int(since_device):
                continue
            after = since if walk.since and device == int(since_device) else ""
            while page := await member.paths(after, PAGE):
                for after, path in page:
                    yield Here(device, member, path)
                    self._done = f"{device}/{after}"
                    await walk.step(self._done)

    def is_leader(self, here: Here) -> bool:
        """Whether this replica decides where there is something to be decided."""
        return self.router.placement.primaries(here.path)[0].id == here.device


class ReclaimingWalker(Walker):
    """Knows which deletions are remembered: those of the last `reclaim_seconds`."""

    def __init__(
        self,
        members: Mapping[int, SqliteMember],
        listings: RingListings,
        clock: Clock,
        *,
        reclaim_seconds: float = RECLAIM_SECONDS,
    ) -> None:
        super().__init__(members, listings, clock)
        self._reclaim_seconds = reclaim_seconds

    def forgotten_before(self) -> Timestamp:
        return Timestamp.at(self.clock.now().timestamp() - self._reclaim_seconds)
