#!/usr/bin/env python3
"""Lists of a container with very many names, before and after it is split into shards.

bench/lists.py [NAMES [FOLDER]]     a million names by default; ten million take some minutes and 4 GB
"""

from __future__ import annotations

import asyncio
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src"), str(HERE.parent / "tools")]

import environment  # noqa: E402 - the path comes first

environment.enter("isal")

from harness import table  # noqa: E402
from harness.table import Row  # noqa: E402

from pileus.drivers.object.listing.daemons import node_daemons  # noqa: E402
from pileus.drivers.object.listing.store import SqliteListings  # noqa: E402
from pileus.kernel.clock import SystemClock  # noqa: E402
from pileus.lib.timestamp import Timestamp  # noqa: E402
from pileus.services.object_store.daemons import Daemons  # noqa: E402
from pileus.services.object_store.listings import Ask, Form, ObjectEntry  # noqa: E402

INSERTS = 50_000
AT_ONCE = 2000
PAGES = 5


def name_of(number: int) -> str:
    return f"folder-{number // 1000:06}/object-{number:09}"


def entries(numbers: Iterator[int] | range, at: int) -> Iterator[ObjectEntry]:
    for number in numbers:
        when = Timestamp(at)
        yield ObjectEntry(name_of(number), when, when, number, f"{number:032x}", "application/octet-stream")


async def enter(listings: SqliteListings, rows: Iterator[ObjectEntry]) -> tuple[int, float]:
    """How many, and in how many seconds."""
    count, started = 0, time.perf_counter()
    for row in rows:
        listings.note("a", "c", row)
        count += 1
        if count % AT_ONCE == 0:
            await listings.entering.flush()
    await listings.entering.flush()
    return count, time.perf_counter() - started


async def pages(listings: SqliteListings, names: int, form: Form) -> list[float]:
    """CPU milliseconds of full pages, at the start, in the middle and near the end."""
    found = []
    for part in (0.0, 0.5, 0.98):
        marker = name_of(min(int(names * part), names - 10_001)) if part else ""
        best = 1e9
        for _ in range(PAGES):
            started = time.process_time()
            body = await listings.list_objects("a", "c", Ask(marker=marker), form)
            best = min(best, time.process_time() - started)
            assert body is not None
            assert body.count(b"object-") == 10_000
        found.append(best * 1000)
    return found


async def measure(names: int, folder: Path) -> list[Row]:
    clock = SystemClock()
    listings = SqliteListings(folder, clock)
    await listings.start()
    await listings.set_container("a", "c", Timestamp.at(time.time()), dict, make=True)
    rows = []
    at = Timestamp.at(time.time()).units
    count, took = await enter(listings, entries(range(names), at))
    rows.append(Row(f"{names} names in order, one file", count / took, "/s", None, True))
    chance = random.Random(1)

    async def stage(what: str) -> None:
        for form in ("json", "xml", "plain"):
            for where, cost in zip(
                ("start", "middle", "end"), await pages(listings, names, form), strict=True
            ):  # type: ignore[arg-type]  # the forms by name
                rows.append(Row(f"10,000 names as {form}, {where}, {what}: CPU", cost, "ms"))
        numbers = (chance.randrange(names) for _ in range(INSERTS))
        count, took = await enter(listings, entries(numbers, Timestamp.at(time.time()).units))
        rows.append(Row(f"changes at random places, {what}", count / took, "/s", None, True))

    await stage("one file")
    await listings.settle("mark")
    daemons = Daemons(clock)
    for daemon in node_daemons({0: listings.member}, listings, clock):
        if daemon.name == "list-sharder":
            daemon.per_second = 1e9  # type: ignore[misc]  # as fast as it goes
            daemons.add(daemon)
    started = time.perf_counter()
    for _ in range(2):
        await daemons.run_once("list-sharder")
    took = time.perf_counter() - started
    info = await listings.router.info("a/c")
    assert info is not None
    assert info.objects == names
    if info.ranges:
        rows.append(Row(f"split into {len(info.ranges)} shards", took, "s"))
        rows.append(Row("the same, names", names / took, "/s", None, True))
        await stage("shards")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows.append(Row("most memory", peak, "MB"))
    await listings.close()
    return rows


def main() -> int:
    names = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    where = sys.argv[2] if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory(prefix="pileus-bench-", dir=where) as folder:
        table.show(asyncio.run(measure(names, Path(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
