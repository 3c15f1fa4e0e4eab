"""Proxies of one cluster, in one loop: each as a process has it, over storage nodes that are reached by the wire."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from pileus.app.objects import object_store
from pileus.drivers.object.node.node import StorageNode
from pileus.drivers.object.node.rings import Rings
from pileus.kernel.clock import Clock, SystemClock
from pileus.lib.ring import Builder, encode
from pileus.services.object_store.settings import Settings
from pileus.services.object_store.state import ObjectStoreState
from pileus.testing.cloud import free_port
from tests.s3_client import Rig, running

HOSTS = ("127.0.0.31", "127.0.0.32", "127.0.0.33")
KEY = bytes(range(32))


@contextlib.asynccontextmanager
async def proxies(
    folder: Path, many: int, settings: Settings | None = None, clock: Clock | None = None
) -> AsyncIterator[tuple[dict[str, StorageNode], list[Rig]]]:
    """The nodes by host, and clients of the proxies; three replicas of everything."""
    etc, port = folder / "etc", free_port()
    etc.mkdir()
    builder = Builder(4, 3, 0)
    for zone, host in enumerate(HOSTS):
        builder.add(zone=zone, ip=host, port=port, device="sdb1", weight=1)
        (folder / host / "sdb1").mkdir(parents=True)
    builder.rebalance(1, 0)
    for name in ("container", "object"):
        (etc / f"{name}.ring.gz").write_bytes(encode(builder.ring()))
    (etc / "cluster.key").write_text(KEY.hex())
    (etc / "cluster.key").chmod(0o600)
    async with contextlib.AsyncExitStack() as undo:
        nodes = {}
        for host in HOSTS:
            nodes[host] = StorageNode(folder / host, Rings(etc), KEY, host, port, SystemClock())
            await nodes[host].start()
            undo.push_async_callback(nodes[host].close)
        rigs = []
        for number in range(many):
            own = folder / f"proxy-{number}"
            made = object_store(_with_rings(settings or Settings(), etc), own, clock or SystemClock())
            state = ObjectStoreState(
                made.devices, made.listings, made.daemons, clock or SystemClock(), made.settings
            )
            rigs.append(await undo.enter_async_context(running(own, state=state)))
        yield nodes, rigs


def _with_rings(settings: Settings, etc: Path) -> Settings:
    return msgspec.structs.replace(settings, rings=str(etc))
