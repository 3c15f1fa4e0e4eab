"""A ring of lists in one process: devices that can be cut off, proxies and nodes, and time that passes at once."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pileus.drivers.object.listing.daemons import node_daemons, teller_daemons
from pileus.drivers.object.listing.member import MemberAway
from pileus.drivers.object.listing.placement import Placement
from pileus.drivers.object.listing.sqlite import SqliteMember
from pileus.drivers.object.listing.store import RingListings
from pileus.lib.ring import Builder, Ring
from pileus.services.object_store.daemons import Daemons
from pileus.services.object_store.listings import Ask


class Hours:
    """A clock that goes on where somebody sleeps, and at once."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += max(seconds, 0.0)
        await asyncio.sleep(0)

    async def wait(self, event: asyncio.Event, timeout: float | None = None) -> bool:
        await event.wait()
        return True


class Reached:
    """A member as somebody reaches it, or not."""

    def __init__(self, world: World, who: str, device: int) -> None:
        self._world, self._who, self._device = world, who, device

    def __getattr__(self, verb: str) -> Any:
        if verb in ("start", "close"):
            return self._nothing
        if {(self._who, self._device), ("all", self._device)} & self._world.cut:
            return self._away
        return getattr(self._world.members[self._device], verb)

    async def _nothing(self) -> None:
        """It has a life of its own."""

    async def _away(self, *_: object, **__: object) -> None:
        raise MemberAway(f"device {self._device} can't be reached")


class World:
    def __init__(self, folder: Path, ring: Ring, clock: Hours, shard_rows: int) -> None:
        self.folder, self.ring, self.clock = folder, ring, clock
        self.cut: set[tuple[str, int]] = set()
        self.ids = [device.id for device in ring.devices if device is not None]
        self.members = {id_: self._member(id_) for id_ in self.ids}
        self.proxies = [self._listings(f"proxy{n}") for n in range(2)]
        self.daemons: dict[int, Daemons] = {}
        self.nodes: dict[int, RingListings] = {}
        for id_ in self.ids:
            self.nodes[id_] = self._listings(f"node{id_}")
            self.daemons[id_] = Daemons(clock)
            own = node_daemons({id_: self.members[id_]}, self.nodes[id_], clock, shard_rows=shard_rows)
            for daemon in (*own, *teller_daemons(self.nodes[id_])):
                self.daemons[id_].add(daemon)
        self.of_proxies = [Daemons(clock) for _ in self.proxies]
        for daemons, proxy in zip(self.of_proxies, self.proxies, strict=True):
            for daemon in teller_daemons(proxy):
                daemons.add(daemon)

    def _member(self, device: int) -> SqliteMember:
        return SqliteMember(self.folder / f"device{device}", self.clock, journal=True)

    def _listings(self, who: str) -> RingListings:
        reached: Any = {id_: Reached(self, who, id_) for id_ in self.ids}
        return RingListings(Placement(reached, self.ring), self.folder / who, self.clock)

    async def passes(
        self, names: tuple[str, ...] = ("list-updater", "list-sharder", "list-replicator")
    ) -> None:
        for proxy in self.proxies:
            await proxy.entering.flush()
        for daemons in self.of_proxies:
            await daemons.run_once("list-backlog")
        for id_ in self.ids:
            if ("all", id_) not in self.cut:
                await self.daemons[id_].run_once("list-backlog")
                for name in names:
                    await self.daemons[id_].run_once(name)

    async def close(self) -> None:
        for each in (*self.proxies, *self.nodes.values()):
            await each.close()
        for member in self.members.values():
            await member.close()


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder. What is asked there is not whether the disk syncs."""
    where = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="pileus-lists-", dir=where) as made:
        yield Path(made)


def ring_of(devices: int, replicas: int) -> Ring:
    builder = Builder(part_power=4, replicas=replicas, min_part_hours=0)
    for n in range(devices):
        builder.add(zone=n, ip=f"127.0.0.{n + 1}", port=6201, device=f"d{n}", weight=1.0)
    builder.rebalance(seed=1, now=0.0)
    return builder.ring()


async def names(listings: RingListings, container: str, **ask: Any) -> list[str]:
    body = await listings.list_objects("a", container, Ask(**ask), "json")
    return [] if body is None else [each.get("name") or each["subdir"] for each in json.loads(body)]
