"""What was deleted long ago is forgotten: rows of deletions, and the files of deleted containers and accounts."""

from __future__ import annotations

from pileus.drivers.object.listing import handover
from pileus.drivers.object.listing.member import Change
from pileus.drivers.object.listing.passes import Here, ReclaimingWalker
from pileus.drivers.object.listing.schema import Head
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.daemons import Walk


class ListReclaimer(ReclaimingWalker):
    """After `reclaim_seconds` a device that was away so long must not come back with what it had."""

    name = "list-reclaimer"
    every_seconds = 3600.0
    per_second = 100.0

    async def see(self, here: Here, walk: Walk) -> None:
        before = self.forgotten_before()
        head = await here.member.head(here.path)
        if head is None:
            return
        if head.tombstones or head.life.delete_at > Timestamp(0):
            walk.count(
                tombstones=await here.member.on(here.path, lambda one: handover.forget(one, before)) or 0
            )
        await here.member.on(here.path, handover.shrink)
        if head.own is not None and head.life.exists(head.objects):
            await self._shard(here, head, before, walk)
        elif not head.life.exists(head.objects) and head.life.delete_at < before:
            await self._file(here, head, before, walk)

    async def _shard(self, here: Here, head: Head, before: Timestamp, walk: Walk) -> None:
        """One whose names others have goes, and one whose container is long gone."""
        assert head.own is not None
        info = await self.router.info(head.own.root)
        known = [] if info is None else [each for each in info.ranges if each.shard == here.path]
        used = any(each.state != "gone" or each.changed >= before for each in known)
        young = head.own.changed >= before
        if used or young or head.objects or (info is not None and info.exists and not head.moved):
            return
        now = Timestamp.at(self.clock.now().timestamp())
        await self.router.change(here.path, Change(delete_at=now))
        walk.count(shards=1)

    async def _file(self, here: Here, head: Head, before: Timestamp, walk: Walk) -> None:
        if "/" in here.path and head.own is None:
            info = await here.member.info(here.path)
            shards = [] if info is None else [each for each in info.ranges if each.state != "gone"]
            for shard in shards:
                part = await self.router.info(shard.shard)
                if part is not None and part.objects:
                    return
            for shard in shards:
                await self.router.change(shard.shard, Change(delete_at=head.life.delete_at))

        def is_over(now: Head) -> bool:
            told = now.own is not None or "/" not in now.path or now.reported_life[:2] == now.life[:2]
            empty = not (now.objects or now.containers)
            return empty and told and not now.life.exists(0) and now.life.delete_at < before

        if await here.member.drop(here.path, is_over):
            walk.count(files=1)
