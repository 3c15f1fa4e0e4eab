"""What somebody has not been told yet is told: rows to members that were away, counts to accounts and roots."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from pileus.drivers.object.listing.backlog import Owed, Told
from pileus.drivers.object.listing.member import Child
from pileus.drivers.object.listing.merge import newest
from pileus.drivers.object.listing.passes import Here, Walker
from pileus.drivers.object.listing.router import deliver
from pileus.drivers.object.listing.store import RingListings
from pileus.services.object_store.daemons import Walk
from pileus.services.object_store.driver import DeviceError

MANY = 500


class ListUpdater(Walker):
    """Containers' counts to their accounts, shards' to their roots, where those have not been told."""

    name = "list-updater"
    every_seconds = 60.0

    async def see(self, here: Here, walk: Walk) -> None:
        if "/" not in here.path:
            return
        head = await here.member.head(here.path)
        if head is None:
            return
        told, life = head.reported_life, head.life
        if head.reported_at >= head.counted_at and told[:2] == life[:2]:
            return
        child = await here.member.on(here.path, lambda one: one.child(head))
        if child is None:
            return
        parent = here.path.split("/", 1)[0] if head.own is None else head.own.root
        answer = await self.router.tell(parent, Told(children=[child]), durable=True)
        if any(not each.moved for each in answer.entered):
            await here.member.on(here.path, lambda one: one.reported(child))
            walk.count(reports=1)


class BacklogUpdater:
    """What members that were away missed of this process's own telling."""

    name = "list-backlog"
    every_seconds = 15.0
    per_second = math.inf

    def __init__(self, listings: RingListings) -> None:
        self._listings = listings
        self._backlog = listings.backlog

    async def walk(self, walk: Walk) -> None:
        for device in self._backlog.devices():
            member = self._listings.router.placement.members.get(device)
            after = 0
            while owed := await asyncio.to_thread(self._backlog.owed, device, after, MANY):
                after = owed[-1].number
                try:
                    if member is not None:  # else it is in no ring any more
                        await self._deliver(device, owed)
                except DeviceError:
                    walk.count(away=1)
                    break
                await asyncio.to_thread(self._backlog.done, device, owed)
                walk.count(delivered=len(owed))
                await walk.step("")

    async def _deliver(self, device: int, owed: Sequence[Owed]) -> None:
        member = self._listings.router.placement.members[device]
        by_path: dict[str, list[Told]] = {}
        for each in owed:
            by_path.setdefault(each.path, []).append(each.told)
        reports: dict[str, list[Child]] = {}
        for path, told in by_path.items():
            for change in [one.change for one in told if one.change is not None]:
                await deliver(member, path, Told(change=change))
            rows = newest(row for one in told for row in one.objects)
            if rows:
                entered = await deliver(member, path, Told(objects=list(rows.values())))
                if entered is not None and entered.moved:
                    moved = [rows[name] for name in entered.moved]
                    await self._listings.entering.enter(path, moved, reports)
            children = [child for one in told for child in one.children]
            if children:
                await deliver(member, path, Told(children=children))
        await self._listings.entering.report_all(reports)
