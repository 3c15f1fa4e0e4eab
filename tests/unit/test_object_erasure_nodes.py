"""An erasure-coded policy over storage nodes, each with a server of its own; policies as `swift.conf` has them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from pileus.app.objects import object_store
from pileus.drivers.object.node import swift_conf
from pileus.drivers.object.node.node import StorageNode
from pileus.drivers.object.node.rings import Rings
from pileus.kernel.clock import SystemClock
from pileus.kernel.config import ConfigError
from pileus.lib.ring import Builder, encode
from pileus.services.object_store.policies import ErasureCoding, StoragePolicy
from pileus.services.object_store.service import service
from pileus.services.object_store.settings import Settings
from pileus.services.object_store.state import ObjectStoreState
from pileus.testing.cloud import free_port
from pileus.testing.service import serving
from tests.object_store_client import Store

KEY = b"k" * 32
CONF = """
[swift-hash]
swift_hash_path_suffix = changeme
[storage-policy:0]
name = copies
default = yes
[storage-policy:1]
name = coded
aliases = cheap, cold
policy_type = erasure_coding
ec_type = liberasurecode_rs_vand
ec_num_data_fragments = 2
ec_num_parity_fragments = 1
ec_object_segment_size = 65536
"""


class Cluster:
    """Four nodes of a device each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = [free_port() for _ in range(4)]
        self.rings = folder / "rings"
        self.rings.mkdir()
        (self.rings / "swift.conf").write_text(CONF)
        (self.rings / "cluster.key").write_text(KEY.hex())
        (self.rings / "cluster.key").chmod(0o600)
        builder = Builder(4, 3)
        for number, port in enumerate(self.ports):
            builder.add(zone=number, ip="127.0.0.1", port=port, device=f"sd{number}", weight=1)
            (folder / f"node{number}" / f"sd{number}").mkdir(parents=True)
        builder.rebalance(1, 1e9)
        for name in ("container", "object", "object-1"):
            (self.rings / f"{name}.ring.gz").write_bytes(encode(builder.ring()))
        self.nodes: dict[int, StorageNode] = {}

    async def start(self, number: int) -> None:
        devices = self.folder / f"node{number}"
        node = StorageNode(devices, Rings(self.rings), KEY, "127.0.0.1", self.ports[number], SystemClock())
        await node.start()
        self.nodes[number] = node

    async def stop(self, number: int) -> None:
        await self.nodes.pop(number).close()

    @property
    def settings(self) -> Settings:
        return Settings(rings=str(self.rings))


@asynccontextmanager
async def nodes(folder: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(folder)
    try:
        for number in range(4):
            await cluster.start(number)
        yield cluster
    finally:
        for number in list(cluster.nodes):
            await cluster.stop(number)


@asynccontextmanager
async def proxy(cluster: Cluster) -> AsyncIterator[Store]:
    clock = SystemClock()
    made = object_store(cluster.settings, cluster.folder / "proxy", clock)
    state = ObjectStoreState(made.devices, made.listings, made.daemons, clock, made.settings, made.recon)
    await state.start()
    try:
        async with serving(service, state=state, clock=clock) as cloud:
            yield Store(cloud, state)
    finally:
        await state.close()


@pytest.mark.slow
async def test_fragments_on_nodes(tmp_path: Path) -> None:
    body = os.urandom(700_000)
    bodies = {"large": body, "small": body[:5000], "tiny": b"tiny"}
    async with nodes(tmp_path) as cluster, proxy(cluster) as store:
        assert (await store("PUT", "/c", x_storage_policy="cold")).status == 201
        assert (await store("HEAD", "/c")).headers["x-storage-policy"] == "coded"
        for name, data in bodies.items():
            assert (await store("PUT", f"/c/{name}", data)).status == 201
        assert (await store("GET", "/c")).body.split() == [b"large", b"small", b"tiny"]
        await cluster.stop(2)
        for name, data in bodies.items():
            got = await store("GET", f"/c/{name}")
            assert (got.status, got.body) == (200, data)
        for number in range(6):
            assert (await store("PUT", f"/c/later-{number}", body[: 9000 + number])).status == 201
        await cluster.start(2)
        counts: Counter[str] = Counter()
        for walk in ("object-reconstructor-1", "object-replicator-1"):
            for node in cluster.nodes.values():
                counts.update((await node.daemons.run_once(walk)).counts)
        assert counts["moved"] + counts["rebuilt"] >= 1
        assert not counts["failed"] + counts["failures"]
        await cluster.stop(0)
        for number in range(6):
            assert (await store("GET", f"/c/later-{number}")).body == body[: 9000 + number]
        for name, data in bodies.items():
            assert (await store("GET", f"/c/{name}")).body == data


def test_a_proxy_knows_who_is_near(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    near = msgspec.structs.replace(cluster.settings, read_affinity="r1z2=1, r1z0=2")
    devices = object_store(near, tmp_path, SystemClock()).devices
    ring = Rings(cluster.rings).objects[0]

    def rank(zone: int) -> int:
        return {2: 1, 0: 2}.get(zone, 3)

    for partition in range(ring.partitions):
        zones = [each.zone for each in ring.primaries(partition)]
        seats = devices[0].placement.seats(partition)
        asked = [ring.devices[peer.id].zone for peer in seats.primaries]
        assert asked == sorted(zones, key=rank)
        fragments = devices[1].places.of(bytes([partition << 4]) + bytes(15))
        assert fragments.order == sorted(range(3), key=lambda index: rank(zones[index]))
    with pytest.raises(ConfigError, match="read_affinity: 'west' is no place"):
        object_store(msgspec.structs.replace(near, read_affinity="west"), tmp_path, SystemClock())


def test_policies_stand_in_one_place(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    copies, coded = Rings(cluster.rings).conf.policies
    assert copies == StoragePolicy(name="copies", default=True)
    assert coded == StoragePolicy(
        name="coded",
        index=1,
        aliases=("cheap", "cold"),
        erasure_coding=ErasureCoding(data=2, parity=1, code="liberasurecode_rs_vand", segment_kib=64),
    )
    both = msgspec.structs.replace(cluster.settings, policies=(copies, coded))
    with pytest.raises(ConfigError, match="have them there alone"):
        object_store(both, tmp_path, SystemClock())
    conf = cluster.rings / "swift.conf"
    conf.unlink()
    with pytest.raises(ConfigError, match=r"must know that 'coded' is erasure-coded: .*\[storage-policy:1\]"):
        object_store(both, tmp_path, SystemClock())
    conf.write_text(CONF.replace("ec_num_data_fragments = 2", "ec_num_data_fragments = 4"))
    with pytest.raises(ConfigError, match=r"the ring has 3 replicas; 4\+1 fragments need as many"):
        object_store(cluster.settings, tmp_path, SystemClock())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("default = yes", "default = no", "one must be the default"),
        ("default = yes", "default = maybe", "Not a boolean"),
        ("erasure_coding", "magic", "replication or erasure_coding, not 'magic'"),
        ("= 65536", "= 65537", "a multiple of 1024"),
        ("ec_num_data_fragments = 2", "", "1 or more for data"),
        ("[swift-hash]", "[swift-hash", "can't be read"),
    ],
)
def test_what_a_swift_conf_cannot_say(tmp_path: Path, old: str, new: str, words: str) -> None:
    (tmp_path / "swift.conf").write_text(CONF.replace(old, new))
    with pytest.raises(ConfigError, match=words):
        swift_conf.read(tmp_path / "swift.conf")
