"""Storage nodes and proxies, all in one loop: who serves what, and who tells the lists."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import uvloop

from pileus.app.objects import object_store
from pileus.drivers.object.listing.sqlite import SqliteMember
from pileus.drivers.object.node import node as node_module
from pileus.drivers.object.node.cluster import OnNodes, remote_objects
from pileus.drivers.object.node.node import StorageNode
from pileus.drivers.object.node.rings import Rings, RingsError
from pileus.drivers.object.wire.members import Peers
from pileus.kernel.clock import SystemClock
from pileus.kernel.config import ConfigError
from pileus.lib.ring import Builder, encode
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import metadata
from pileus.services.object_store.driver import DeviceError, ObjectDevice, Version
from pileus.services.object_store.listed import note
from pileus.services.object_store.listings import Ask, Listings, ObjectEntry
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.policies import StoragePolicy
from pileus.services.object_store.settings import Settings
from pileus.testing.cloud import free_port

HOSTS = ("127.0.0.11", "127.0.0.12", "127.0.0.13")
KEY = bytes(range(32))
KEPT = metadata.encode(ObjectMetadata(etag="e" * 32, content_type="text/plain", headers={}))


class Site(NamedTuple):
    folder: Path
    port: int

    @property
    def rings(self) -> Rings:
        return Rings(self.folder / "etc")

    def node(self, host: str) -> StorageNode:
        return StorageNode(self.folder / host, self.rings, KEY, host, self.port, SystemClock())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    port = free_port()
    builder = Builder(4, 3, 0)
    for zone, host in enumerate(HOSTS):
        builder.add(zone=zone, ip=host, port=port, device="sdb1", weight=1)
        (tmp_path / host / "sdb1").mkdir(parents=True)
    builder.rebalance(1, 0)
    (tmp_path / "etc").mkdir()
    for name in ("container", "object"):
        (tmp_path / "etc" / f"{name}.ring.gz").write_bytes(encode(builder.ring()))
    return Site(tmp_path, port)


@contextlib.asynccontextmanager
async def nodes(site: Site) -> AsyncIterator[dict[str, StorageNode]]:
    running = {host: site.node(host) for host in HOSTS}
    try:
        for each in running.values():
            await each.start()
        yield running
    finally:
        for each in running.values():
            await each.close()


@contextlib.asynccontextmanager
async def proxy(site: Site, name: str) -> AsyncIterator[tuple[ObjectDevice, Listings]]:
    store = OnNodes(site.rings, KEY, site.folder / name, SystemClock())
    devices, listings = store.devices, store.listings
    await listings.start()
    await devices[0].start(lambda version: note(listings, version), "")
    try:
        yield devices[0], listings
    finally:
        await devices[0].close()
        await listings.close()


async def names(listings: Listings) -> list[str]:
    return (await listings.list_objects("a", "c", Ask(), "plain") or b"").decode().split()


async def test_what_one_proxy_writes_all_have(site: Site) -> None:
    async with nodes(site) as running, proxy(site, "p1") as (device, lists), proxy(site, "p2") as (other, _):
        await lists.set_container("a", "c", Timestamp(1), dict, make=True)
        hashed = site.rings.objects[0].name_hash
        for name in ("one", "two"):
            await device.put(hashed(f"a/c/{name}"), f"a/c/{name}", Timestamp(5), KEPT, name.encode())
        assert await names(lists) == ["one", "two"], "whoever wrote finds it listed"
        writer = device.writer(hashed("a/c/big"), "a/c/big")
        await writer.write(bytes(1024 * 1024))
        await writer.finish(Timestamp(6), KEPT)
        assert await names(lists) == ["big", "one", "two"]
        found = await other.find(hashed("a/c/one"))
        assert found is not None
        assert found.body == b"one"
        await running[HOSTS[0]].close()
        await device.put(hashed("a/c/one"), "a/c/one", Timestamp(7), KEPT, b"newer")
        found = await other.find(hashed("a/c/one"))
        assert found is not None
        assert found.body == b"newer"
        info = await lists.container("a", "c")
        assert info is not None
        assert info.objects == 3


async def test_what_a_proxy_could_not_tell_a_node_tells(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "NOTE_SECONDS", 0.05)
    async with nodes(site), proxy(site, "p1") as (_, lists):
        await lists.set_container("a", "c", Timestamp(1), dict, make=True)
        peers = Peers(KEY)
        ring = site.rings.objects[0]
        members = remote_objects(ring, 0, peers)
        for device in ring.lookup("a/c/untold")[1]:
            version = Version("a/c/untold", Timestamp(5), Timestamp(5), 1, KEPT, False, b"x")
            await members[device.id].store(ring.name_hash("a/c/untold"), version)
        async with asyncio.timeout(60):
            while await names(lists) != ["untold"]:
                await SystemClock().sleep(0.02)
        await peers.close()


async def test_a_node_serves_what_is_mounted_and_its_own(site: Site) -> None:
    (site.folder / HOSTS[0] / "sdb1").rmdir()
    with pytest.raises(DeviceError, match="has a folder in"):
        await site.node(HOSTS[0]).start()
    assert not (site.folder / HOSTS[0] / "sdb1").exists(), "a mount point is never made"
    elsewhere = StorageNode(site.folder / HOSTS[1], site.rings, KEY, "127.0.0.99", site.port, SystemClock())
    with pytest.raises(DeviceError, match="--listen must be the address"):
        await elsewhere.start()
    lists_only = StorageNode(
        site.folder / HOSTS[1], site.rings, KEY, HOSTS[1], site.port, SystemClock(), roles=("container",)
    )
    await lists_only.start()
    assert lists_only.served == ["container/sdb1"]
    await lists_only.close()


def test_rings_that_are_missing_or_do_not_fit(site: Site) -> None:
    etc = site.folder / "etc"
    (etc / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = salt%s\n")
    assert (site.rings.conf.hash_prefix, site.rings.conf.hash_suffix) == ("", "salt%s")
    (etc / "account.ring.gz").write_bytes(b"another")
    with pytest.raises(RingsError, match=r"make .*account\.ring\.gz a copy"):
        Rings(etc)
    (etc / "account.ring.gz").unlink()
    (etc / "object.ring.gz").write_bytes(b"rubbish")
    with pytest.raises(RingsError, match=r"object\.ring\.gz can.t be read"):
        Rings(etc)
    (etc / "object.ring.gz").unlink()
    with pytest.raises(RingsError, match="pileus ring rebalance"):
        Rings(etc)


@pytest.mark.parametrize(
    ("policies", "mode", "hint"),
    [
        ((), 0o644, "chmod 600"),
        ((StoragePolicy(name="gold"), StoragePolicy(name="tin", index=1, default=True)), 0o600, "no object-1.ring.gz"),
    ],
)  # fmt: skip
def test_settings_of_a_proxy_that_can_not_be(
    site: Site, policies: tuple[StoragePolicy, ...], mode: int, hint: str
) -> None:
    key = site.folder / "etc" / "cluster.key"
    key.write_text(KEY.hex())
    key.chmod(mode)
    with pytest.raises(ConfigError, match=hint):
        object_store(
            Settings(rings=str(site.folder / "etc"), policies=policies), site.folder / "state", SystemClock()
        )
    with pytest.raises(ConfigError, match=r"object_store\.rings"):
        object_store(Settings(rings="/nowhere"), site.folder / "state", SystemClock())


@pytest.mark.slow
async def test_nodes_split_a_container_where_they_are_told_to(site: Site) -> None:
    running = [
        StorageNode(
            site.folder / host,
            site.rings,
            KEY,
            host,
            site.port,
            SystemClock(),
            every_seconds=0.1,
            shard_rows=20,
        )
        for host in HOSTS
    ]
    for node in running:
        await node.start()
    try:
        async with proxy(site, "p1") as (_, lists):
            await lists.set_container("a", "c", Timestamp(1), dict, make=True)
            written = [f"object-{number:03}" for number in range(90)]
            for name in written:
                lists.note("a", "c", ObjectEntry(name, Timestamp(5), Timestamp(5), 1, "e" * 32, "text/plain"))
            async with asyncio.timeout(60):
                while not await shards(running):
                    assert await names(lists) == written
                    await SystemClock().sleep(0.02)
            assert await names(lists) == written
            lists.note(
                "a", "c", ObjectEntry("object-045a", Timestamp(6), Timestamp(6), 1, "e" * 32, "text/plain")
            )
            assert await names(lists) == sorted([*written, "object-045a"])
    finally:
        for node in running:
            await node.close()


async def shards(running: list[StorageNode]) -> bool:
    """Whether each node's own replica of the container has given all of its rows away."""
    heads = []
    for node in running:
        assert node.listings is not None
        for member in node.listings.router.placement.members.values():
            if isinstance(member, SqliteMember):
                heads.append(await member.head("a/c"))
    return all(head is not None and head.ranges > 1 and not head.objects for head in heads)


def test_all_of_it_in_the_loop_that_processes_have(site: Site) -> None:
    """Its transports are none of asyncio's classes."""
    uvloop.run(test_what_one_proxy_writes_all_have(site))
