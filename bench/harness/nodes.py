"""Three copies through the API: on three devices of one process, and on three storage nodes; and the bare protocol."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from hashlib import md5
from http.client import HTTPConnection
from multiprocessing.queues import Queue
from pathlib import Path
from statistics import median
from typing import Protocol

from harness.cloud import ROOT, Cloud, Process, raised
from harness.measure import finished, load
from harness.table import Row
from pileus.drivers.object.wire.client import Peer
from pileus.drivers.object.wire.interface import Interface
from pileus.drivers.object.wire.remote import Remote
from pileus.drivers.object.wire.server import WireServer

CLIENTS = 16
SMALL = "x" * 4096
PUTS = 6000
CALLS = 30_000
MIB = 1 << 20
LARGE_MIB = 256
UPLOADS = 5
KEY = bytes(32)


class _Bare(Protocol):
    def get(self, key: bytes) -> Awaitable[bytes]: ...

    async def cpu(self) -> float: ...


class _Answers:
    def get(self, key: bytes) -> asyncio.Future[bytes]:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        answer.set_result(SMALL.encode())
        return answer

    async def cpu(self) -> float:
        return time.process_time()


def _serve(port: Queue[int]) -> None:
    async def forever() -> None:
        server = WireServer(KEY)
        server.serve("bare", Interface(_Bare), _Answers())
        await server.start("127.0.0.1", 0)
        port.put(server.port)
        await asyncio.Event().wait()

    asyncio.run(forever())


async def _ask(port: int) -> tuple[float, float]:
    """CPU seconds of a call, at the client and at the server."""
    peer = Peer("127.0.0.1", port, KEY)
    bare = Remote(Interface(_Bare), peer, "bare")
    numbers = iter(range(CALLS))

    async def client() -> None:
        for _ in numbers:
            await bare.get(b"k" * 16)  # type: ignore[attr-defined]  # made of verbs

    served = await bare.cpu()  # type: ignore[attr-defined]
    began = time.process_time()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    spent = time.process_time() - began
    served = await bare.cpu() - served  # type: ignore[attr-defined]
    await peer.close()
    return spent / CALLS, served / CALLS


def bare() -> list[Row]:
    port: Queue[int] = multiprocessing.Queue()
    process = multiprocessing.Process(target=_serve, args=(port,), daemon=True)
    process.start()
    client, server = asyncio.run(_ask(port.get()))
    process.terminate()
    process.join()
    return [
        Row("a call between servers, 4 KiB back, CPU of the client", client * 1e6, "µs"),
        Row("the same, CPU of the server", server * 1e6, "µs", 11),
    ]


def _pileus(*words: object) -> list[str]:
    return [sys.executable, "-m", "pileus", *map(str, words)]


@contextmanager
def nodes(folder: Path) -> Iterator[tuple[Path, list[Process]]]:
    """The folder of rings and the processes of three storage nodes."""
    rings = folder / "etc"
    rings.mkdir(parents=True)
    environ = {"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"}
    subprocess.run(
        _pileus("keys", "cluster", rings / "cluster.key"), env=environ, check=True, stdout=subprocess.DEVNULL
    )
    hosts = [f"127.0.0.{number}" for number in (11, 12, 13)]
    for name in ("container", "object"):
        builder = rings / f"{name}.builder"
        devices = [word for n, host in enumerate(hosts) for word in (f"z{n}-{host}:6290/d", "1")]
        for words in (("create", builder), ("add", builder, *devices), ("rebalance", builder)):
            subprocess.run(_pileus("ring", *words), env=environ, check=True, stdout=subprocess.DEVNULL)
    started = []
    try:
        for host in hosts:
            (folder / host / "d").mkdir(parents=True)
            where = ("--devices", folder / host, "--listen", f"{host}:6290", "--rings", rings)
            command = _pileus("object-server", *where, "--key", rings / "cluster.key")
            process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
            started.append(process)
            assert process.stdout is not None
            assert process.stdout.readline().startswith("Serving"), "a storage node did not start"
        yield rings, [Process(process.pid) for process in started]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()


def _put_ms(cloud: Cloud, servers: list[Process]) -> float:
    base = f"/v1/AUTH_{cloud.project_id}/bench"
    cloud.request("PUT", base, expect=201)
    order = {"connections": CLIENTS, "method": "PUT", "body": SMALL, "status": 201}
    headers = cloud.headers(**{"Content-Type": "application/octet-stream"})
    finished(load(cloud.port, f"{base}/warm-{{n}}", headers, requests=500, **order))
    before = sum(each.cpu_seconds for each in servers)
    result = finished(load(cloud.port, f"{base}/object-{{n}}", headers, requests=PUTS, **order))
    return (sum(each.cpu_seconds for each in servers) - before) / len(result["ms"]) * 1000


def _upload_rate(cloud: Cloud) -> float:
    """Of what one core hashes in the same time: the middle of several uploads, each beside its own hashing."""
    return median(_one_upload_rate(cloud, f"large-{number}") for number in range(UPLOADS))


def _one_upload_rate(cloud: Cloud, name: str) -> float:
    block = bytes(range(256)) * (MIB // 256)
    digest, began = md5(usedforsecurity=False), time.perf_counter()
    for _ in range(LARGE_MIB):
        digest.update(block)
    hashing = time.perf_counter() - began
    connection = HTTPConnection("127.0.0.1", cloud.port, timeout=300, blocksize=MIB)
    headers = cloud.headers(**{"Content-Length": str(LARGE_MIB * MIB)})
    began = time.perf_counter()
    path = f"/v1/AUTH_{cloud.project_id}/bench/{name}"
    connection.request("PUT", path, (block for _ in range(LARGE_MIB)), headers)
    response = connection.getresponse()
    assert response.status == 201, response.read()
    return hashing / (time.perf_counter() - began)


def rows(folder: Path) -> list[Row]:
    def settings(**options: object) -> dict[str, str]:
        named = {f"PILEUS_OBJECT_STORE__{name.upper()}": json.dumps(value) for name, value in options.items()}
        return {**named, "PILEUS_ONLY": '["identity", "object-store"]', "PILEUS_LOG_LEVEL": "warning"}

    found = bare()
    with raised(settings(devices=3, replicas=3)) as (cloud, _):
        found += [
            Row("PUT 4 KiB, three devices in process, CPU", _put_ms(cloud, [cloud.process]), "ms", 0.35),
            Row(
                "256 MiB up, three devices in process, of md5's rate",
                _upload_rate(cloud) * 100,
                "%",
                55,
                True,
            ),
        ]
    with nodes(folder) as (rings, processes), raised(settings(rings=str(rings))) as (cloud, _):
        every = [cloud.process, *processes]
        found += [
            Row("PUT 4 KiB, three nodes, CPU of all servers", _put_ms(cloud, every), "ms", 0.6),
            Row("256 MiB up, three nodes, of md5's rate", _upload_rate(cloud) * 100, "%", 55, True),
        ]
    return found
