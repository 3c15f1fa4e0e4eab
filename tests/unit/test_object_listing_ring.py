"""Lists over a ring: devices go away, come back and are lost while two proxies write; in the end all agree with the model."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings

from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError
from pileus.services.object_store.listings import Ask, NoSuchContainer, NotEmpty, ObjectEntry
from tests.object_list_model import asks, model
from tests.object_list_world import Hours, World, in_memory, names, ring_of

CONTAINERS = ("c1", "c2", "c3")


@pytest.fixture
def folder() -> Iterator[Path]:
    with in_memory() as made:
        yield made


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
@pytest.mark.slow
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


@pytest.mark.slow
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
