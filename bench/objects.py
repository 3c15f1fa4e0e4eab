#!/usr/bin/env python3
"""The object store's engine alone, against what the disk and the machine do in the same run; and objects on several devices,
as whole copies and in fragments.

bench/objects.py [FOLDER]      a folder on the disk to measure; some hundred MiB for some seconds
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from hashlib import md5
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src"), str(HERE.parent / "tools")]

import environment  # noqa: E402 - the path comes first

environment.enter("httptools", "isal")

from harness import nodes, spread, table  # noqa: E402
from harness.table import Row  # noqa: E402

from pileus.drivers.object.engine import ObjectEngine  # noqa: E402
from pileus.lib.timestamp import Timestamp  # noqa: E402

CLIENTS = 16
OBJECTS = 12_000
BODY = os.urandom(4096)
METADATA = os.urandom(200)
ROUNDS = 3


def creates(folder: Path, each: int = 250) -> float:
    """Files of 4 KiB a second: written, fsynced, renamed, by 16 threads."""

    def work(thread: int) -> None:
        for number in range(each):
            path = folder / f"{thread}-{number}"
            fd = os.open(f"{path}.new", os.O_CREAT | os.O_WRONLY | os.O_EXCL)
            os.write(fd, BODY)
            os.fsync(fd)
            os.close(fd)
            os.rename(f"{path}.new", path)

    folder.mkdir()
    threads = [threading.Thread(target=work, args=(n,)) for n in range(CLIENTS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    shutil.rmtree(folder)
    return CLIENTS * each / took


async def clients(job: Callable[[int], Awaitable[None]], count: int) -> tuple[float, float]:
    """Jobs a second and CPU seconds a job, by 16 clients at once."""
    numbers = iter(range(count))

    async def client() -> None:
        for number in numbers:
            await job(number)

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return count / (time.perf_counter() - started), (time.process_time() - cpu) / count


async def engine(folder: Path) -> dict[str, tuple[float, float]]:
    device = ObjectEngine.on_host(folder)
    await device.start()
    paths = [f"AUTH_project/container/object-{n}" for n in range(OBJECTS)]
    keys = [md5(path.encode()).digest() for path in paths]
    when = Timestamp.at(time.time())

    async def put(n: int) -> None:
        await device.put(keys[n], paths[n], when, METADATA, BODY)

    async def get(n: int) -> None:
        version = await device.find(keys[n])
        assert version is not None
        assert version.body == BODY

    found = {"put": await clients(put, OBJECTS), "get": await clients(get, OBJECTS)}
    await device.close()
    cpu, started = time.process_time(), time.perf_counter()
    again = ObjectEngine.on_host(folder)
    await again.start()
    found["start"] = (time.perf_counter() - started, time.process_time() - cpu)
    await again.close()
    return found


def main() -> int:
    where = sys.argv[1] if len(sys.argv) > 1 else None
    rates, puts, gets, starts = [], [], [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="pileus-bench-", dir=where) as folder:
            rates.append(creates(Path(folder) / "creates"))
            measured = asyncio.run(engine(Path(folder) / "engine"))
        puts.append(measured["put"])
        gets.append(measured["get"])
        starts.append(measured["start"])
    floor = statistics.median(rates)
    rows = [
        Row(
            "PUT 4 KiB durable, engine alone, 16 clients",
            statistics.median(p[0] for p in puts),
            "/s",
            floor,
            True,
            baseline=floor,
        ),
        Row("the same, CPU", statistics.median(p[1] for p in puts) * 1000, "ms"),
        Row("GET 4 KiB, engine alone", statistics.median(g[0] for g in gets), "/s", None, True),
        Row("the same, CPU", statistics.median(g[1] for g in gets) * 1000, "ms"),
        Row(f"start with {OBJECTS} objects in an open volume", statistics.median(s[0] for s in starts), "s"),
    ]
    with tempfile.TemporaryDirectory(prefix="pileus-bench-", dir=where) as folder:
        rows += spread.rows(Path(folder))
        rows += nodes.rows(Path(folder) / "nodes")
    table.show(rows)
    print(f"\nbaseline: fsynced creates of 4 KiB by {CLIENTS} threads, {floor:.0f}/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
