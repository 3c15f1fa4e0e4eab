"""Containers that have grown too large give ranges of their names to shards, and small shards join.

Each step is written down in the container's ranges before the next begins, so a walk that is killed anywhere is taken up by
the next one. Who decides is the first replica; rows are handed over by each replica for itself: it copies a range until
nothing is left that changed meanwhile, and in that moment stops taking rows and answering for it. So a list is whole at
every step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import md5
from itertools import pairwise

from pileus.drivers.object.listing import handover, schema
from pileus.drivers.object.listing.backlog import Told
from pileus.drivers.object.listing.member import Change, Info, Own, Range
from pileus.drivers.object.listing.merge import inside
from pileus.drivers.object.listing.passes import Here, Walker
from pileus.drivers.object.listing.placement import quorum
from pileus.drivers.object.listing.sqlite import SqliteMember
from pileus.drivers.object.listing.store import RingListings
from pileus.kernel.clock import Clock
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.daemons import Walk
from pileus.services.object_store.driver import DeviceError
from pileus.services.object_store.listings import ObjectEntry

SHARD_ROWS = 1_000_000
HIDDEN = ".shards_"
"""Begins the names of accounts that have shards."""
COPIED = 2000
"""Rows handed over at once."""
ROUNDS = 20
"""So often what changed meanwhile is copied, before the range waits for the next walk."""


class ListSharder(Walker):
    """`shard_rows`: a container, or a shard, with more is split into halves of that; two with a quarter together join."""

    name = "list-sharder"

    def __init__(
        self,
        members: Mapping[int, SqliteMember],
        listings: RingListings,
        clock: Clock,
        *,
        shard_rows: int = SHARD_ROWS,
    ) -> None:
        super().__init__(members, listings, clock)
        self._rows = shard_rows

    async def see(self, here: Here, walk: Walk) -> None:
        if "/" not in here.path:
            return
        head = await here.member.head(here.path)
        if head is None:
            return
        leader = self.is_leader(here)
        if leader and head.own is not None and head.own.joined:
            await self._end_join(here, head.own, walk)
        if not (head.ranges or head.objects > self._rows):
            return
        info = await here.member.info(here.path)
        if info is None:
            return
        if leader and info.exists and info.objects > self._rows and not _alive(info):
            await self._find(here, walk)
            info = await here.member.info(here.path) or info
        if leader:
            for found in [each for each in info.ranges if each.state == "found"]:
                await self._create(here, info, found)
                walk.count(created=1)
            info = await here.member.info(here.path) or info
        for part in _alive(info):
            if part.state == "created" and not await self._has_given(here, part):
                await self._cleave(here, part, walk)
        await here.member.on(here.path, handover.shrink)
        if leader:
            await self._settle_up(here, walk)

    def _now(self) -> Timestamp:
        return Timestamp.at(self.clock.now().timestamp())

    async def _find(self, here: Here, walk: Walk) -> None:
        """Names at which to split: written down before anything is made of them."""
        size = max(self._rows // 2, 1)
        after = ""
        info = await here.member.info(here.path)
        own = None if info is None else info.own
        lower, upper = "", ""
        if own is not None:
            mine = await self._in_root(here, own)
            if mine is None:
                return
            lower, upper = mine.lower, mine.upper
        bounds = [lower]
        while True:
            point = await here.member.on(here.path, lambda one: handover.split_points(one, size, after))  # noqa: B023 - run at once
            if point is None:
                break
            bounds.append(point)
            after = point
        if len(bounds) < 2:
            return
        now = self._now()
        root = here.path if own is None else own.root
        ranges = [
            Range(_name(root, here.path, now, number), low, high, "found", now)
            for number, (low, high) in enumerate(zip(bounds, [*bounds[1:], upper], strict=True))
        ]
        await self.router.change(here.path, Change(ranges=ranges))
        walk.count(found=len(ranges))

    async def _create(self, here: Here, info: Info, found: Range) -> None:
        """The shard first, then the word that it takes rows."""
        now = self._now()
        own = Own(here.path if info.own is None else info.own.root, found.lower, found.upper, found.changed)
        change = Change(put_at=found.changed, policy=info.life.policy, own=own)
        await self.router.change(found.shard, change, make=True)
        made = found._replace(state="created", changed=max(now, Timestamp(found.changed.units + 1)))
        await self.router.change(here.path, Change(ranges=[made]))

    async def _has_given(self, here: Here, part: Range) -> bool:
        moved = await here.member.on(here.path, lambda one: schema.moved(one.database.connection))
        return inside(part.lower + "\0", moved or [])

    async def _cleave(self, here: Here, part: Range, walk: Walk) -> None:
        """This replica's rows of a range go to the shard; after that it has them no more."""
        words = await self.router.settle(part.shard)
        head = await here.member.head(here.path)
        if head is None:
            return
        since = head.sequence
        for table in ("object", "tombstone"):
            after = ""
            while rows := await here.member.on(
                here.path,
                lambda one: handover.rows_of(one, part, table, after, COPIED),  # noqa: B023 - run at once
            ):
                await self._send(part, rows)
                walk.count(rows=len(rows))
                after = rows[-1].name
                await self.pace(walk, 1)
        for _ in range(ROUNDS):
            late = await here.member.on(here.path, lambda one: handover.changed_rows(one, part, since))  # noqa: B023 - run at once
            if late is None:
                return
            rows, since = late
            if rows:
                await self._send(part, rows)
            await self._durable(part, words)
            if await here.member.give(here.path, part, since):
                walk.count(cleaved=1)
                return

    async def _send(self, part: Range, rows: Sequence[ObjectEntry]) -> None:
        answer = await self.router.tell(part.shard, Told(objects=rows))
        if any(each.moved for each in answer.entered):
            raise DeviceError(f"{part.shard} is being split itself; tried again")
        if len(answer.entered) < quorum(len(self.router.placement.primaries(part.shard))):
            raise DeviceError(f"too few replicas of {part.shard} answer; tried again")

    async def _durable(self, part: Range, before: Mapping[int, str]) -> None:
        """What was sent is on disks, of devices that have not been started anew since the first of it."""
        words = await self.router.settle(part.shard)
        sure = [
            device
            for device, word in words.items()
            if before.get(device) == word and not self.router.backlog.behind(device, part.shard)
        ]
        if len(sure) < quorum(len(self.router.placement.primaries(part.shard))):
            raise DeviceError(f"too few replicas of {part.shard} are sure; tried again")

    async def _in_root(self, here: Here, own: Own) -> Range | None:
        """What the root says that this shard has; None where it does not know it, or has others instead."""
        root = await self.router.info(own.root)
        known = () if root is None else root.ranges
        return next((each for each in known if each.shard == here.path and each.state == "created"), None)

    async def _end_join(self, here: Here, own: Own, walk: Walk) -> None:
        """The root knows by now that the names of the shard before are here: from now on all of them count."""
        mine = await self._in_root(here, own)
        if mine is not None and mine.lower < own.joined:
            over = own._replace(joined="", changed=max(self._now(), Timestamp(own.changed.units + 1)))
            await self.router.change(here.path, Change(own=over))
            walk.count(joined=1)

    async def _settle_up(self, here: Here, walk: Walk) -> None:
        info = await here.member.info(here.path)
        moved = await here.member.on(here.path, lambda one: schema.moved(one.database.connection))
        if info is None or not moved:
            return
        if info.own is not None:
            mine = await self._in_root(here, info.own)
            if mine is not None and _covers(moved, mine):
                await self._replace(mine, info, walk)
        elif moved == [("", "")]:
            await self._join(info, walk)

    async def _replace(self, mine: Range, info: Info, walk: Walk) -> None:
        """A shard that has given all away makes room in its root for those that have it now."""
        assert info.own is not None
        root = await self.router.info(info.own.root)
        if root is None:
            return
        known = {each.shard: each for each in root.ranges}
        now = max(self._now(), Timestamp(max(each.changed.units for each in root.ranges) + 1))
        ranges = [mine._replace(state="gone", changed=now)]
        for part in _alive(info):
            counted = await self.router.info(part.shard)
            if counted is None:
                raise DeviceError(f"{part.shard} is not to be found; tried again")
            old = known.get(part.shard)
            lower, upper = part.lower, part.upper
            if old is not None and old.state == "created":
                lower, upper = min(lower, old.lower), _greatest(upper, old.upper)
            ranges.append(
                Range(
                    part.shard,
                    lower,
                    upper,
                    "created",
                    now,
                    counted.counted_at,
                    counted.objects,
                    counted.bytes_used,
                )
            )
        await self.router.change(info.own.root, Change(ranges=ranges))
        walk.count(replaced=1)

    async def _join(self, info: Info, walk: Walk) -> None:
        """Two neighbours that are small: the first gives all it has to the second."""
        parts = [each for each in info.ranges if each.state == "created"]
        for first, second in pairwise(parts):
            if first.objects + second.objects > self._rows // 4 or first.upper != second.lower:
                continue
            one, other = await self.router.info(first.shard), await self.router.info(second.shard)
            if one is None or other is None or one.own is None or other.own is None:
                continue
            # Who is being given rows gives none away, and is given none by others.
            if _alive(one) or _alive(other) or one.own.joined or other.own.joined not in ("", first.upper):
                continue
            now = max(self._now(), Timestamp(other.own.changed.units + 1))
            wider = other.own._replace(lower=first.lower, changed=now, joined=first.upper)
            await self.router.change(second.shard, Change(own=wider))
            given = Range(second.shard, first.lower, first.upper, "created", now)
            await self.router.change(first.shard, Change(ranges=[given]))
            walk.count(joining=1)
            return


def _alive(info: Info) -> list[Range]:
    return [each for each in info.ranges if each.state != "gone"]


def _covers(moved: Sequence[tuple[str, str]], part: Range) -> bool:
    return any(
        lower <= part.lower and (not upper or (part.upper != "" and part.upper <= upper))
        for lower, upper in moved
    )


def _greatest(one: str, other: str) -> str:
    """The greater upper bound; empty is none."""
    return max(one, other) if one and other else ""


def _name(root: str, parent: str, now: Timestamp, number: int) -> str:
    """A shard's path: as Swift's, so that it can't be guessed wrong for another container's."""
    account, container = root.split("/", 1)
    origin = md5(parent.encode(), usedforsecurity=False).hexdigest()
    return f"{HIDDEN}{account}/{container}-{origin}-{now.normal}-{number}"
