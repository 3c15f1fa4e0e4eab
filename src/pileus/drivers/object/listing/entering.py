"""Changes of objects on their way into lists, and counts on their way to accounts."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

import structlog

from pileus.drivers.object.listing.backlog import Told
from pileus.drivers.object.listing.member import Child, Own, Range
from pileus.drivers.object.listing.merge import newest
from pileus.drivers.object.listing.router import Router
from pileus.services.object_store.driver import DeviceError
from pileus.services.object_store.listings import ObjectEntry

log = structlog.get_logger("pileus.object_store.listings")
GATHER_SECONDS = 0.25
GATHER_MANY = 2000
AT_ONCE = 8
"""Containers that are told at once."""
TURNS = 6
"""So often rows are sent on, from a container to a shard, from there to that shard's shards, and back to the start."""
ROUTES = 256
"""Containers with shards that are remembered."""
Rows = dict[str, ObjectEntry]


def path_of(account: str, container: str) -> str:
    return f"{account}/{container}"


class Entering:
    def __init__(self, router: Router) -> None:
        self._router = router
        self._pending: dict[str, list[ObjectEntry]] = {}
        self._pending_count = 0
        self._flushing: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failure: Exception | None = None
        self._touched: dict[int, set[str]] = {}
        """Paths of which members were told what may not be durable."""
        self._routes: OrderedDict[str, list[Range]] = OrderedDict()
        """Shards that have their rows in all replicas of the container they are part of."""

    def note(self, account: str, container: str, entry: ObjectEntry) -> None:
        self._pending.setdefault(path_of(account, container), []).append(entry)
        self._pending_count += 1
        if self._pending_count >= GATHER_MANY or self._timer is None:
            loop = asyncio.get_running_loop()
            if self._timer is not None:
                self._timer.cancel()
            wait = 0.0 if self._pending_count >= GATHER_MANY else GATHER_SECONDS
            self._timer = loop.call_later(wait, lambda: asyncio.ensure_future(self.flush()))

    async def flush(self) -> None:
        """What was told before is entered when this returns, unless a list could not take it."""
        while self._flushing is not None:
            await asyncio.wait((self._flushing,))
        if not self._pending:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pending, self._pending, self._pending_count = self._pending, {}, 0
        self._flushing = asyncio.ensure_future(self._flush(pending))
        try:
            await asyncio.shield(self._flushing)
        finally:
            self._flushing = None

    async def _flush(self, pending: Mapping[str, Sequence[ObjectEntry]]) -> None:
        limit = asyncio.Semaphore(AT_ONCE)
        children: dict[str, list[Child]] = {}

        async def one(path: str, rows: Sequence[ObjectEntry]) -> None:
            async with limit:
                try:
                    await self.enter(path, rows, children)
                except Exception as error:
                    log.warning(
                        "a list could not be told of changes; tried again", list=path, error=str(error)
                    )
                    self._failure = error
                    self._pending.setdefault(path, []).extend(rows)

        await asyncio.gather(*(one(*each) for each in pending.items()))
        await self.report_all(children)

    async def enter(self, path: str, rows: Iterable[ObjectEntry], children: dict[str, list[Child]]) -> None:
        """Into the container's list, or those of its shards; adds what parents should be told."""
        waiting: list[tuple[str, Rows]] = [
            (where, {row.name: row for row in part}) for where, part in self._routed(path, newest(rows))
        ]
        for _ in range(TURNS):
            ahead: list[tuple[str, Rows]] = []
            for where, part in waiting:
                ahead += await self._enter(path, where, part, children)
            if not ahead:
                return
            waiting = ahead
        raise DeviceError(f"shards of {path} send rows to each other; tried again")

    def _routed(self, path: str, rows: Rows) -> list[tuple[str, list[ObjectEntry]]]:
        known = self._routes.get(path)
        if known is None:
            return [(path, list(rows.values()))]
        self._routes.move_to_end(path)
        sent: dict[str, list[ObjectEntry]] = {}
        for row in rows.values():
            shard = covering(known, row.name)
            sent.setdefault(path if shard is None else shard.shard, []).append(row)
        return list(sent.items())

    async def _enter(
        self, root: str, where: str, rows: Rows, children: dict[str, list[Child]]
    ) -> list[tuple[str, Rows]]:
        """What has to go elsewhere."""
        answer = await self._router.tell(where, Told(objects=list(rows.values())))
        for device in answer.devices:
            self._touched.setdefault(device, set()).add(where)
        if not answer.entered:
            if where != root:
                self._routes.pop(root, None)
                if not answer.known:
                    return [(root, rows)]  # the shard is no more; others have its names
            return []
        newest = max(answer.entered, key=lambda each: each.child.counted_at)
        own: Own | None = newest.own
        parent = where.split("/", 1)[0] if own is None else own.root
        children.setdefault(parent, []).append(newest.child)
        moved = set().union(*(each.moved for each in answer.entered))
        if not moved:
            return []
        if where != root:
            self._routes.pop(root, None)
        by_all = answer.everywhere and where == root
        by_all = by_all and all(moved <= set(each.moved) for each in answer.entered)
        return await self._onward(root, where, {name: rows[name] for name in moved}, by_all=by_all)

    async def _onward(self, root: str, where: str, rows: Rows, *, by_all: bool) -> list[tuple[str, Rows]]:
        info = await self._router.info(where)
        shards = [] if info is None else [each for each in info.ranges if each.state == "created"]
        sent: dict[str, Rows] = {}
        used: list[Range] = []
        for name, row in rows.items():
            shard = covering(shards, name)
            if shard is None and where == root:
                raise DeviceError(f"no shard of {root} has {name!r}; tried again")
            if shard is not None and (not used or used[-1] != shard):
                used.append(shard)
            sent.setdefault(root if shard is None else shard.shard, {})[name] = row
        if by_all:
            known = {each.shard: each for each in (*self._routes.get(root, ()), *used)}
            self._routes[root] = sorted(known.values(), key=lambda each: each.lower)
            if len(self._routes) > ROUTES:
                self._routes.popitem(last=False)
        return list(sent.items())

    async def report_all(self, children: Mapping[str, Sequence[Child]]) -> None:
        """Shards to their roots, those and other containers to their accounts."""
        of_accounts = {parent: list(told) for parent, told in children.items() if "/" not in parent}
        for parent, told in children.items():
            if "/" in parent:
                for account, child in await self.report(parent, told):
                    of_accounts.setdefault(account, []).append(child)
        for account, told in of_accounts.items():
            await self.report(account, told)

    async def report(
        self, parent: str, children: Sequence[Child], *, durable: bool = False
    ) -> list[tuple[str, Child]]:
        """What the parent's own parent should be told in turn; nothing of an account."""
        answer = await self._router.tell(parent, Told(children=children), durable=durable)
        if "/" not in parent or not answer.entered:
            return []
        newest = max(answer.entered, key=lambda each: each.child.counted_at)
        return [(parent.split("/", 1)[0] if newest.own is None else newest.own.root, newest.child)]

    async def begin_settling(self) -> dict[int, set[str]]:
        """Enters what was told; by device the lists that may not be durable. Raises what kept it from that."""
        self._failure = None
        await self.flush()
        if self._failure is not None:
            raise self._failure
        return {device: set(paths) for device, paths in self._touched.items()}

    def settled(self, touched: Mapping[int, set[str]]) -> None:
        for device, paths in touched.items():
            self._touched[device] -= paths


def covering(shards: Sequence[Range], name: str) -> Range | None:
    """The shard that a name belongs to; where there are two, the newer."""
    found = [each for each in shards if each.lower < name and (not each.upper or name <= each.upper)]
    return max(found, key=lambda each: (each.changed, each.shard), default=None)
