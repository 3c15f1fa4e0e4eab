"""Rings that change under storage nodes and proxies that go on: all in one loop, over real connections and disks."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from pileus.drivers.object.listing.sqlite import SqliteMember
from pileus.drivers.object.node import follower
from pileus.drivers.object.node.cluster import OnNodes
from pileus.drivers.object.node.follower import RingFollower
from pileus.drivers.object.node.node import StorageNode
from pileus.drivers.object.node.rings import Rings
from pileus.drivers.object.wire import client
from pileus.kernel.clock import SystemClock
from pileus.kernel.files import write_whole
from pileus.lib.ring import Builder, encode
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import metadata
from pileus.services.object_store.daemons import Daemons
from pileus.services.object_store.listed import note
from pileus.services.object_store.listings import Ask
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.testing.clock import FakeClock
from pileus.testing.cloud import free_port
from pileus.testing.waiting import until

KEY = bytes(range(32))
KEPT = metadata.encode(ObjectMetadata(etag="e" * 32, content_type="text/plain", headers={}))
POWER = 3
SECONDS = 0.1
"""From one walk of each daemon to its next."""
LARGE = 300 * 1024


class Proxy:
    def __init__(self, rings: Rings, folder: Path) -> None:
        self.store = OnNodes(rings, KEY, folder, SystemClock())
        self.device, self.lists = self.store.devices[0], self.store.listings
        self.follower = self.store.follower

    async def put(self, name: str, body: bytes, at: int) -> None:
        path = f"a/c/{name}"
        key = self.follower.rings.objects[0].name_hash(path)
        if len(body) < LARGE:
            await self.device.put(key, path, Timestamp(at), KEPT, body)
            return
        writer = self.device.writer(key, path)
        for start in range(0, len(body), 100_000):
            await writer.write(body[start : start + 100_000])
            await asyncio.sleep(0)
        await writer.finish(Timestamp(at), KEPT)

    async def get(self, name: str) -> bytes | None:
        key = self.follower.rings.objects[0].name_hash(f"a/c/{name}")
        found = await self.device.find(key)
        if found is None or found.deleted:
            return None
        return b"".join([chunk async for chunk in self.device.read(key, found, 0, found.size_bytes)])

    async def names(self) -> set[str]:
        return set((await self.lists.list_objects("a", "c", Ask(), "plain") or b"").decode().split())


class Site:
    """Nodes by host, proxies, and the builder of the one ring that lists and objects have."""

    def __init__(self, folder: Path, replicas: int, undo: contextlib.AsyncExitStack) -> None:
        self.folder = folder
        self.etc = folder / "etc"
        self.etc.mkdir()
        self.port = free_port()
        self.builder = Builder(POWER, replicas, 0)
        self.nodes: dict[str, StorageNode] = {}
        self._undo = undo

    def place(self, host: str, device: str) -> int:
        (self.folder / host / device).mkdir(parents=True)
        added = self.builder.add(zone=int(host[-1]), ip=host, port=self.port, device=device, weight=1)
        return added.id

    def rebalance(self) -> None:
        self.builder.rebalance(1, 0)
        for name in ("container", "object"):
            write_whole(self.etc / f"{name}.ring.gz", encode(self.builder.ring()))

    async def start(self, host: str) -> None:
        node = StorageNode(
            self.folder / host, Rings(self.etc), KEY, host, self.port, SystemClock(), every_seconds=SECONDS
        )
        await node.start()
        self.nodes[host] = node
        self._undo.push_async_callback(self.stop, host)

    async def stop(self, host: str) -> None:
        if (node := self.nodes.pop(host, None)) is not None:
            await node.close()

    async def proxy(self, name: str) -> Proxy:
        proxy = Proxy(Rings(self.etc), self.folder / name)
        await proxy.lists.start()
        self._undo.push_async_callback(proxy.lists.close)
        await proxy.device.start(lambda version: note(proxy.lists, version), "")
        self._undo.push_async_callback(proxy.device.close)
        return proxy

    async def held(self, host: str, device: str) -> int:
        """How many versions and lists a device has."""
        node = self.nodes[host]
        engine = node.engines[f"object/{device}"]
        stamps = [await engine.stamps(POWER, partition) for partition in range(1 << POWER)]
        assert node.listings is not None
        members = node.listings.router.placement.members.values()
        own = [each for each in members if isinstance(each, SqliteMember)]
        lists = [len(await each.paths("", 100)) for each in own if each.folder.parent.name == device]
        return sum(map(len, stamps)) + sum(lists)


@contextlib.asynccontextmanager
async def site(folder: Path, hosts: int, replicas: int) -> AsyncIterator[Site]:
    async with contextlib.AsyncExitStack() as undo:
        made = Site(folder, replicas, undo)
        names = [f"127.0.0.{21 + number}" for number in range(hosts)]
        for host in names:
            made.place(host, "sdb1")
        made.rebalance()
        for host in names:
            await made.start(host)
        yield made


@contextlib.asynccontextmanager
async def following(*proxies: Proxy) -> AsyncIterator[None]:
    """Each proxy looks for new rings, a different one a little later."""
    running = []
    for number, proxy in enumerate(proxies):
        daemons = Daemons(SystemClock())
        proxy.follower.every_seconds = SECONDS * (1 + number)
        daemons.add(proxy.follower)
        daemons.start()
        running.append(daemons)
    yield
    for daemons in running:
        await daemons.close()


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [3, 1])
async def test_a_node_comes_and_another_goes_while_clients_write_and_read(
    tmp_path: Path, replicas: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "GRACE_SECONDS", 10 * SECONDS)
    # All of the cluster is one process here, which may be busy.
    monkeypatch.setattr(client, "CONNECT_SECONDS", 30.0)
    async with site(tmp_path, 3, replicas) as there:
        proxies = [await there.proxy("p1"), await there.proxy("p2")]
        await proxies[0].lists.set_container("a", "c", Timestamp(1), dict, make=True)
        acknowledged: dict[str, bytes] = {}
        stopping = asyncio.Event()

        async def use(number: int) -> None:
            turn = 0
            while not stopping.is_set():
                turn += 1
                writer = reader = proxies[turn % 2]
                if (
                    replicas > 1
                ):  # one copy is where a single ring says: another proxy may not have that one yet
                    reader = proxies[number % 2]
                name, body = f"{number}-{turn}", os.urandom(LARGE if turn % 8 == 0 else 100)
                await writer.put(name, body, 10 + turn)
                acknowledged[name] = body
                assert await reader.get(name) == body, f"{name} is not there, though it was acknowledged"
                await SystemClock().sleep(0.03)

        async with following(*proxies), asyncio.TaskGroup() as clients:
            for number in range(4):
                clients.create_task(use(number))
            await until(lambda: len(acknowledged) > 60, 60)
            there.place("127.0.0.24", "sdb1")
            there.place("127.0.0.22", "sdc1")
            there.builder.set_weight(0, 0)
            there.rebalance()
            await there.start("127.0.0.24")
            assert await there.held("127.0.0.21", "sdb1")

            async def is_empty() -> bool:
                return not await there.held("127.0.0.21", "sdb1")

            await until(is_empty, 60)
            many = len(acknowledged)
            await until(lambda: len(acknowledged) > many + 60, 60)
            stopping.set()
        assert await there.held("127.0.0.22", "sdc1"), "a new device of a running node is served"
        assert await there.held("127.0.0.24", "sdb1")
        await there.stop("127.0.0.21")
        for proxy in proxies:
            assert [name for name, body in acknowledged.items() if await proxy.get(name) != body] == []

            async def has_all(proxy: Proxy = proxy) -> bool:
                return set(acknowledged) <= await proxy.names()

            await until(has_all, 60)


def _write(folder: Path, part_power: int = POWER, replicas: int = 2, devices: int = 3) -> None:
    builder = Builder(part_power, replicas, 0)
    for number in range(devices):
        builder.add(zone=number, ip=f"127.0.0.{number + 1}", port=6200, device="sdb1", weight=1)
    builder.rebalance(1, 0)
    for name in ("container", "object"):
        write_whole(folder / f"{name}.ring.gz", encode(builder.ring()))


async def test_rings_are_read_when_they_change_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    _write(tmp_path)
    changes: list[int] = []
    agreed: list[Rings] = []

    async def change(rings: Rings) -> None:
        changes.append(len(rings.lists.devices))

    looking = RingFollower(Rings(tmp_path), clock, change, agreed.append)
    daemons = Daemons(clock)
    daemons.add(looking)

    async def look() -> None:
        await daemons.run_once(looking.name)

    await look()
    assert agreed == [looking.rings]
    with monkeypatch.context() as patch:
        patch.setattr(follower, "Rings", None)  # nothing is read as long as nothing is touched
        await look()
    _write(tmp_path, devices=4)
    await look()
    assert changes == [4]
    assert len(agreed) == 1
    await clock.advance(follower.GRACE_SECONDS)
    await look()
    assert agreed == [agreed[0], looking.rings], (
        "what has moved is forgotten only once all have had time to look"
    )

    before = looking.rings
    for spoil, why in (
        (lambda: _write(tmp_path, part_power=POWER + 1), "part power"),
        (lambda: (tmp_path / "object.ring.gz").write_bytes(b"half of i"), "read"),
        (lambda: (tmp_path / "container.ring.gz").unlink(), "there is no"),
        (lambda: _write(tmp_path) or (tmp_path / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = x\n"), "conf"),
    ):  # fmt: skip
        spoil()
        with structlog.testing.capture_logs() as logs:
            await look()
            await look()
        assert looking.rings is before
        assert len(logs) == 1
        assert why in logs[0]["reason"]
    (tmp_path / "swift.conf").unlink()
    _write(tmp_path, devices=5)
    await look()
    assert changes == [4, 5]
