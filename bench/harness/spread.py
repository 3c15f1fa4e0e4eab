"""Objects on several devices, all folders of one disk: whole copies, and fragments."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from hashlib import md5
from pathlib import Path

from harness.table import Row
from pileus.drivers.object.cluster.device import ObjectCluster
from pileus.drivers.object.cluster.local import local_ring
from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.erasure.assemble import on_folders
from pileus.kernel.clock import SystemClock
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import ObjectDevice
from pileus.services.object_store.policies import ErasureCoding

SMALL, LARGE = os.urandom(4096), os.urandom(64 * 2**20)
MANY, FEW = 3000, 4
CLIENTS = 16
CHUNK = 2**20


def three_copies(folder: Path) -> ObjectDevice:
    members = {n: ObjectEngine.on_host(folder / f"d{n}") for n in range(3)}
    return ObjectCluster(local_ring(3, 3), members, SystemClock())


def four_and_two(folder: Path) -> ObjectDevice:
    return on_folders(
        [folder / f"d{n}" for n in range(6)], ErasureCoding(data=4, parity=2), SystemClock(), "reconstructor"
    )[0]


async def cpu_of(job: Callable[[int], Awaitable[None]], count: int) -> float:
    """CPU seconds a job, by 16 clients at once."""
    numbers = iter(range(count))

    async def client() -> None:
        for number in numbers:
            await job(number)

    cpu = time.process_time()
    await asyncio.gather(*(client() for _ in range(min(CLIENTS, count))))
    return (time.process_time() - cpu) / count


async def measure(device: ObjectDevice) -> list[float]:
    """CPU seconds of a PUT and a GET of 4 KiB, of a PUT and a GET of 64 MiB."""
    await device.start(lambda version: None, "")
    when = Timestamp.at(time.time())

    def path(kind: str, n: int) -> tuple[bytes, str]:
        name = f"AUTH_project/container/{kind}-{n}"
        return md5(name.encode(), usedforsecurity=False).digest(), name

    async def put(n: int) -> None:
        await device.put(*path("small", n), when, b"m" * 200, SMALL)

    async def upload(n: int) -> None:
        writer = device.writer(*path("large", n))
        for start in range(0, len(LARGE), CHUNK):
            await writer.write(LARGE[start : start + CHUNK])
        await writer.finish(when, b"m" * 200)

    async def get(kind: str, n: int) -> None:
        key, _ = path(kind, n)
        version = await device.find(key)
        assert version is not None
        length = 0
        async for chunk in device.read(key, version, 0, version.size_bytes):
            length += len(chunk)
        assert length == version.size_bytes

    found = [
        await cpu_of(put, MANY),
        await cpu_of(lambda n: get("small", n), MANY),
        await cpu_of(upload, FEW),
        await cpu_of(lambda n: get("large", n), FEW),
    ]
    await device.close()
    return found


def rows(folder: Path) -> list[Row]:
    """CPU of the whole process; the baseline is three copies."""
    copies = asyncio.run(measure(three_copies(folder / "copies")))
    coded = asyncio.run(measure(four_and_two(folder / "coded")))
    what = ("PUT 4 KiB", "GET 4 KiB", "PUT 64 MiB", "GET 64 MiB")
    found = []
    for each, whole, cut in zip(what, copies, coded, strict=True):
        found.append(Row(f"{each}, three copies in process, CPU", whole * 1000, "ms"))
        found.append(Row(f"{each}, 4+2 fragments, CPU", cut * 1000, "ms", baseline=whole * 1000))
    return found
