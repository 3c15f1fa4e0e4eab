"""What one replica does for another, what is forgotten in time, and what stays open."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pileus.app.objects import object_store
from pileus.drivers.object.listing import replicator
from pileus.drivers.object.listing.database import OPEN_FILES
from pileus.drivers.object.listing.store import RingListings
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError
from pileus.services.object_store.listings import Ask, ObjectEntry
from pileus.services.object_store.settings import Settings
from tests.object_list_world import Hours, World, in_memory, names, ring_of

DAY = 24 * 3600


@pytest.fixture
def folder() -> Iterator[Path]:
    with in_memory() as made:
        yield made


def tell(listings: RingListings, many: range, at: int, *, etag: str | None = "e") -> None:
    for number in many:
        listings.note("a", "c", ObjectEntry(f"{number:05}", Timestamp(at), Timestamp(at), 1, etag, "t"))


async def world_of(folder: Path, shard_rows: int = 10**6) -> World:
    world = World(folder, ring_of(3, 3), Hours(), shard_rows)
    await world.proxies[0].start()
    await world.proxies[0].set_container("a", "c", Timestamp(1), dict, make=True)
    return world


async def counted(world: World, what: str) -> int:
    """In the walks of replicators so far."""
    return sum(each.progress["list-replicator"].totals.get(what, 0) for each in world.daemons.values())


async def test_a_new_disk_gets_files_and_then_only_what_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicator, "FEW", 20)
    world = await world_of(folder)
    tell(world.proxies[0], range(300), 10)
    await world.passes()
    await world.passes()
    files, rows = await counted(world, "files"), await counted(world, "rows")
    lost = world.ids[1]
    await world.members[lost].close()
    shutil.rmtree(world.folder / f"device{lost}")
    await world.passes()
    await world.passes()
    info = await world.members[lost].info("a/c")
    assert info is not None
    assert info.objects == 300
    assert 1 <= await counted(world, "files") - files <= 2, "two may have sent it, nobody sent it back"
    assert await counted(world, "rows") - rows < 50
    # Away for a while, then told row by row.
    world.cut = {("all", lost)}
    tell(world.proxies[0], range(295, 310), 20)
    await world.passes()
    world.cut.clear()
    world.proxies[0].backlog.done(lost, world.proxies[0].backlog.owed(lost, 0, 10**6))
    files = await counted(world, "files")
    await world.passes()
    info = await world.members[lost].info("a/c")
    assert info is not None
    assert info.objects == 310
    assert await counted(world, "files") == files
    await world.close()


async def test_what_a_proxy_could_not_tell_survives_it(folder: Path) -> None:
    world = await world_of(folder)
    world.cut = {("proxy0", id_) for id_ in world.ids}
    tell(world.proxies[0], range(5), 10)
    await world.proxies[0].settle("mark")
    await world.proxies[0].close()
    assert await names(world.proxies[1], "c") == []
    world.cut.clear()
    again = RingListings(world.proxies[0].router.placement, world.folder / "proxy0", world.clock)
    assert await again.start() == "mark"
    assert len(again.backlog) == len(world.ids)
    world.of_proxies[0]._daemons["list-backlog"]._listings = again  # type: ignore[attr-defined]
    world.of_proxies[0]._daemons["list-backlog"]._backlog = again.backlog  # type: ignore[attr-defined]
    await world.of_proxies[0].run_once("list-backlog")
    assert len(again.backlog) == 0
    assert len(await names(world.proxies[1], "c")) == 5
    await again.close()
    await world.close()


async def test_a_device_that_lost_power_is_not_believed(folder: Path) -> None:
    """What was entered and not synced may be gone: the mark stays where it is, unless others have it."""
    world = await world_of(folder)
    proxy = world.proxies[0]
    tell(proxy, range(5), 10)
    await proxy.settle("one")
    for many, restarted in ((range(5, 10), world.ids[:1]), (range(10, 15), world.ids)):
        tell(proxy, many, 20)
        await proxy.entering.flush()
        for id_ in restarted:
            world.members[id_]._boot = f"again {many}"
        if restarted == world.ids:
            with pytest.raises(DeviceError, match="durable"):
                await proxy.settle("three")
        else:
            await proxy.settle("two")
    assert (world.folder / "proxy0" / "told").read_text() == "two"
    await proxy.settle("three")
    assert (world.folder / "proxy0" / "told").read_text() == "three"
    await world.close()


@pytest.mark.slow
async def test_in_time_all_is_forgotten(folder: Path) -> None:
    world = await world_of(folder, shard_rows=20)
    proxy = world.proxies[0]
    now = Timestamp.at(world.clock.seconds).units
    tell(proxy, range(60), now)
    await world.passes()
    await world.passes()
    tell(proxy, range(60), now + 1, etag=None)
    await world.passes()
    await proxy.delete_container("a", "c")
    every = ("list-updater", "list-sharder", "list-replicator", "list-reclaimer")
    await world.passes(every)
    paths = {path for member in world.members.values() for _, path in await member.paths("", 100)}
    assert len(paths) > 4, "nothing is forgotten yet: the account, the container, its shards"
    await world.clock.sleep(8 * DAY)
    await world.passes(every)
    await world.clock.sleep(8 * DAY)
    await world.passes(every)
    for member in world.members.values():
        assert [path for _, path in await member.paths("", 100)] == ["a"]
        head = await member.head("a")
        assert head is not None
        assert (head.tombstones, head.containers) == (0, 0)
    assert await proxy.list_containers("a", Ask(), "plain") == b""
    await world.close()


async def test_few_files_stay_open_and_none_when_idle(folder: Path) -> None:
    world = World(folder, ring_of(1, 1), Hours(), 10**6)
    listings, member = world.proxies[0], world.members[world.ids[0]]
    await listings.start()
    for number in range(OPEN_FILES + 20):
        await listings.set_container("a", f"c{number}", Timestamp(1), dict, make=True)
    assert member._databases.open_files == OPEN_FILES
    await listings.settle("mark")
    await listings.settle("mark")
    assert member._databases.open_files == 0
    assert await names(listings, "c1") == []
    assert member._databases.open_files == 1
    await world.close()


@pytest.mark.slow
async def test_rows_for_a_list_that_was_split_meanwhile_reach_its_shards(folder: Path) -> None:
    world = await world_of(folder, shard_rows=20)
    proxy, other = world.proxies
    tell(proxy, range(60), 10)
    behind = proxy.router.placement.primaries("a/c")[-1].id
    world.cut = {("all", behind)}
    for _ in range(3):
        await world.passes()
    info = await proxy.router.info("a/c")
    assert info is not None
    assert len(info.ranges) > 4
    # A proxy that reaches nobody else tells that one, and dies before it tells the others.
    world.cut = {("proxy1", id_) for id_ in world.ids if id_ != behind}
    tell(other, range(60, 70), 20)
    await other.entering.flush()
    for id_ in world.ids:
        other.backlog.done(id_, other.backlog.owed(id_, 0, 10**6))
    world.cut.clear()
    assert len(await names(proxy, "c")) == 60, "it asks those first that it knows to have all"
    await world.daemons[behind].run_once("list-replicator")
    assert await names(proxy, "c") == [f"{number:05}" for number in range(70)]
    await world.passes()
    await world.passes()
    assert len(await names(world.proxies[1], "c")) == 70
    await world.close()


async def test_devices_can_be_added_to_a_host_that_had_one(folder: Path) -> None:
    clock = Hours()
    alone = object_store(Settings(), folder, clock).listings
    await alone.start()
    await alone.set_container("a", "c", Timestamp.at(clock.seconds), dict, make=True)
    alone.note("a", "c", ObjectEntry("o", Timestamp(9), Timestamp(9), 1, "e", "t"))
    await alone.settle("mark")
    await alone.close()
    made = object_store(Settings(devices=3, replicas=3), folder, clock)
    assert await made.listings.start() == "mark"
    await made.daemons.run_once("list-replicator")
    await made.listings.close()
    shutil.rmtree(folder / "listings" / "lists")
    again = object_store(Settings(devices=3, replicas=3), folder, clock).listings
    await again.start()
    assert await again.list_objects("a", "c", Ask(), "plain") == b"o\n"
    assert await again.list_containers("a", Ask(), "plain") == b"c\n"
    await again.close()
