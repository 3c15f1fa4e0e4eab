"""Replicas of a list tell each other what they have: changed rows where they know how far they are, else all."""

from __future__ import annotations

from collections.abc import Sequence

from pileus.drivers.object.listing import handover
from pileus.drivers.object.listing.member import Child, Merged
from pileus.drivers.object.listing.passes import Here, ReclaimingWalker
from pileus.drivers.object.listing.placement import Place
from pileus.drivers.object.listing.schema import Head
from pileus.lib.ring import Ring
from pileus.services.object_store.daemons import Walk
from pileus.services.object_store.driver import DeviceError

ROWS = 1000
"""Told at once."""
FEW = 2000
"""A replica with no more rows tells them all rather than its whole file."""
FAR = 50_000
"""A replica that has missed more changes gets the whole file, if that is not much larger."""
JOURNAL = 200_000
"""More changes are not remembered, though somebody may not know of them."""


class ListReplicator(ReclaimingWalker):
    """What is about to be forgotten everywhere is not given to who has forgotten it already."""

    name = "list-replicator"

    async def see(self, here: Here, walk: Walk) -> None:
        ring = self.router.placement.ring
        others, is_primary = self.router.placement.others(here.path, here.device)
        if not others:
            return
        head = await here.member.head(here.path)
        if head is None:
            return
        before = self.forgotten_before()
        over = not head.life.exists(head.objects) and head.life.delete_at < before
        known, failed = head.sequence, False
        if not is_primary:
            failed = not await self._agree(others, ring)
        for place in others:
            try:
                known = min(known, await self._bring(here, head, place, walk, make=not over))
            except DeviceError:
                walk.count(failures=1)
                failed = True
        if not is_primary and not failed:

            def is_told(now: Head) -> bool:
                return now.sequence == head.sequence and self.router.placement.ring is ring

            if await here.member.drop(here.path, is_told):
                walk.count(handed_off=1)
            return
        upto = head.sequence - JOURNAL if failed else max(known, head.sequence - JOURNAL)
        if upto > head.journal_from:
            await here.member.on(here.path, lambda one: handover.trim(one, upto))

    async def _agree(self, others: Sequence[Place], ring: Ring | None) -> bool:
        """Whether the primaries go by the same ring: else one may take this device for a primary, and rely on it."""
        try:
            return all([await place.member.ring() in ("", ring and ring.digest) for place in others])
        except DeviceError:
            return False

    async def _bring(self, here: Here, head: Head, place: Place, walk: Walk, *, make: bool) -> int:
        """Up to where that place knows our changes afterwards. Without `make` it gets none where it has none."""
        hello = await here.member.on(here.path, lambda one: one.batch(head.sequence, 0))
        if hello is None:
            return 0
        merged = await place.member.merge(here.path, hello._replace(upto=0))
        if merged is None and not make:
            return head.sequence
        known = 0 if merged is None else merged.known
        rows = head.objects + head.containers + head.tombstones
        if merged is None or known < head.journal_from or FAR < head.sequence - known > rows // 2:
            if head.sequence > known or merged is None:
                return await self._all(here, place, rows, walk)
            return known
        while known < head.sequence:
            since = known
            batch = await here.member.on(here.path, lambda one: one.batch(since, ROWS))  # noqa: B023 - run at once
            if batch is None or batch.upto <= since:
                break
            merged = await place.member.merge(here.path, batch)
            if merged is None:
                break
            known = merged.known
            walk.count(rows=len(batch.objects) + len(batch.children))
            await self._elsewhere(here, merged.moved)
            await self.pace(walk, 1)
        return known

    async def _all(self, here: Here, place: Place, rows: int, walk: Walk) -> int:
        merged: Merged | None
        if rows <= FEW:
            batch = await here.member.on(here.path, lambda one: one.batch(-1, 0))
            merged = None if batch is None else await place.member.merge(here.path, batch, make=True)
            walk.count(rows=rows)
        else:
            copied = await here.member.copy(here.path)
            if copied is None:
                return 0
            id_, sequence, file = copied
            try:
                merged = await place.member.receive(here.path, id_, sequence, here.member.chunks(file))
            finally:
                file.unlink(missing_ok=True)
            walk.count(files=1)
        if merged is None:
            return 0
        await self._elsewhere(here, merged.moved)
        return merged.known

    async def _elsewhere(self, here: Here, moved: Sequence[str]) -> None:
        """Rows that the other replica has given to shards go there."""
        if moved:
            rows = await here.member.on(here.path, lambda one: one.objects(moved))
            children: dict[str, list[Child]] = {}
            await self.listings.entering.enter(here.path, rows or [], children)
            await self.listings.entering.report_all(children)
