"""Lists over a ring: devices go away, come back and are lost while two proxies write; in the end all agree with the model."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from pileus.drivers.object.listing.daemons import node_daemons, teller_daemons
from pileus.drivers.object.listing.member import MemberAway
from pileus.drivers.object.listing.placement import Placement
from pileus.drivers.object.listing.sqlite import SqliteMember
from pileus.drivers.object.listing.store import RingListings
from pileus.lib.ring import Builder, Ring
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.daemons import Daemons
from pileus.services.object_store.driver import DeviceError
from pileus.services.object_store.listings import Ask, NoSuchContainer, NotEmpty, ObjectEntry
from tests.object_list_model import asks, model

CONTAINERS = ("c1", "c2", "c3")


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


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory: what is asked here is not whether the disk syncs."""
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


class Model:
    """What clients were told."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, ObjectEntry]] = {each: {} for each in CONTAINERS}
        self.there: dict[str, bool | None] = dict.fromkeys(CONTAINERS, False)
        """None: an answer said that it may have happened or not."""
        self.metadata: dict[str, str | None] = dict.fromkeys(CONTAINERS, "")

    def live(self, container: str) -> dict[str, ObjectEntry]:
        return {name: row for name, row in self.rows[container].items() if row.etag is not None}


async def act(world: World, model: Model, chance: random.Random) -> None:
    listings = chance.choice(world.proxies)
    container = chance.choice(CONTAINERS)
    await world.clock.sleep(1)
    now = Timestamp.at(world.clock.now().timestamp())
    what = chance.random()
    if what < 0.55:
        if not model.there[container] and not model.live(container):
            return
        for _ in range(chance.randint(1, 12)):
            name = f"{chance.choice('abcd')}/{chance.randrange(30):02}"
            etag = None if chance.random() < 0.3 else "e"
            at = Timestamp(now.units + chance.randrange(1000))
            entry = ObjectEntry(name, at, at, 0 if etag is None else chance.randrange(9), etag, "t")
            old = model.rows[container].get(name)
            if old is None or (entry.timestamp, etag is None) > (old.timestamp, old.etag is None):
                model.rows[container][name] = entry
            listings.note("a", container, entry)
    elif what < 0.7:
        value = f"{now.units}"
        try:
            await listings.set_container("a", container, now, lambda _: {"x": value}, make=True)
            model.there[container], model.metadata[container] = True, value
        except DeviceError:
            model.there[container] = model.metadata[container] = None
    elif what < 0.8:
        try:
            await listings.delete_container("a", container)
            model.there[container], model.metadata[container] = False, ""
        except NotEmpty:
            pass
        except NoSuchContainer:
            if model.there[container]:
                model.there[container] = model.metadata[container] = None
        except DeviceError:
            model.there[container] = model.metadata[container] = None
    elif what < 0.86:
        device = chance.choice(world.ids)
        who = chance.choice(("all", "all", "proxy0", "proxy1", f"node{chance.choice(world.ids)}"))
        if len(world.cut) < 3:
            world.cut.add((who, device))
    elif what < 0.92:
        if world.cut:
            world.cut.remove(chance.choice(sorted(world.cut)))
    elif what < 0.96:
        await world.passes()
    else:
        for proxy in world.proxies:
            with suppress(DeviceError):
                await proxy.settle("mark")


@pytest.mark.parametrize("seed", range(4))
async def test_after_healing_all_agree(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    clock = Hours()
    world = World(folder, ring_of(5, 3), clock, shard_rows=40)
    told = Model()
    for proxy in world.proxies:
        await proxy.start()
    for _ in range(220):
        await act(world, told, chance)
    world.cut.clear()
    for _ in range(4):
        for proxy in world.proxies:
            await proxy.settle("mark")
        await world.passes()
    await check(world, told)
    assert not any(len(each.backlog) for each in (*world.proxies, *world.nodes.values()))
    await world.close()


async def check(world: World, model: Model) -> None:
    """Through both proxies, and replica by replica."""
    for listings in world.proxies:
        containers = objects = size = 0
        for container in CONTAINERS:
            live = model.live(container)
            info = await listings.container("a", container)
            assert (await names(listings, container)) == sorted(live), container
            if model.there[container] or live:
                assert info is not None
                assert (info.objects, info.bytes_used) == (
                    len(live),
                    sum(e.size_bytes for e in live.values()),
                )
                if model.there[container] and model.metadata[container]:
                    assert info.metadata == {"x": model.metadata[container]}
            elif model.there[container] is False:
                assert info is None, container
            if info is not None:
                containers, objects, size = containers + 1, objects + info.objects, size + info.bytes_used
        account = await listings.account("a")
        assert account is not None
        assert account[2:5] == (containers, objects, size)
    paths: dict[str, list[int]] = {}
    for id_, member in world.members.items():
        for _, path in await member.paths("", 1000):
            paths.setdefault(path, []).append(id_)
    for path, holders in paths.items():
        primaries = [place.id for place in world.nodes[0].router.placement.primaries(path)]
        assert sorted(holders) == sorted(primaries), f"{path} is where it belongs"
        infos = [await world.members[id_].info(path) for id_ in holders]
        assert len({(i.life, i.objects, i.bytes_used, i.containers) for i in infos if i is not None}) == 1, (
            path
        )


def test_parts_of_lists_over_shards(folder: Path) -> None:
    """Every part of a list that is in many shards is as if it were in one place."""
    with asyncio.Runner() as runner:
        world, there = runner.run(grown(folder))

        @settings(max_examples=150, deadline=None)
        @given(asks)
        def check_part(ask: Ask) -> None:
            assert runner.run(names(world.proxies[0], "c1", **ask._asdict())) == model(there, ask)

        check_part()
        runner.run(world.close())


async def grown(folder: Path) -> tuple[World, set[str]]:
    """A container in many shards."""
    world = World(folder, ring_of(4, 2), Hours(), shard_rows=12)
    listings = world.proxies[0]
    await listings.start()
    await listings.set_container("a", "c1", Timestamp.at(1), dict, make=True)
    chance = random.Random(5)
    there: set[str] = set()
    for turn in range(6):
        for _ in range(30):
            name = "".join(chance.choice("ab/-é\U0010ffff") for _ in range(chance.randint(1, 6)))
            there.add(name)
            at = Timestamp.at(10 + turn)
            listings.note("a", "c1", ObjectEntry(name, at, at, 1, "e", "t"))
        await world.passes()
    info = await listings.router.info("a/c1")
    assert info is not None
    assert len([each for each in info.ranges if each.state == "created"]) > 6
    assert (info.objects, await names(listings, "c1")) == (len(there), sorted(there))
    return world, there
