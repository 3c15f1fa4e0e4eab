"""How fast strands run: labels that do nothing, each with its commit, over SQLite with synchronous=FULL."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from pileus.kernel.clock import SystemClock
from pileus.kernel.db import Tx, open_database
from pileus.kernel.work import Engine, Program, Step, Strand, Work, label
from pileus.testing.database import fresh_schema

LABELS = 8


class Stairs(Program):
    """Eight labels, one after the other."""

    name = "bench.stairs"
    after_fault = "start"

    def __init__(self, strands: int) -> None:
        self.left = strands
        self.all_done = asyncio.Event()

    @label()
    async def start(self, strand: Strand) -> Step:
        return strand.hop(self.second)

    @label()
    async def second(self, strand: Strand) -> Step:
        return strand.hop(self.third)

    @label()
    async def third(self, strand: Strand) -> Step:
        return strand.hop(self.fourth)

    @label()
    async def fourth(self, strand: Strand) -> Step:
        return strand.hop(self.fifth)

    @label()
    async def fifth(self, strand: Strand) -> Step:
        return strand.hop(self.sixth)

    @label()
    async def sixth(self, strand: Strand) -> Step:
        return strand.hop(self.seventh)

    @label()
    async def seventh(self, strand: Strand) -> Step:
        return strand.hop(self.last)

    @label()
    async def last(self, strand: Strand) -> Step:
        return strand.done(self._count)

    @label(destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        return strand.done()

    def _count(self, tx: Tx) -> None:
        tx.after_commit(self._one_less)

    def _one_less(self) -> None:
        self.left -= 1
        if not self.left:
            self.all_done.set()


async def _climb(folder: str, strands: int) -> dict[str, float]:
    clock = SystemClock()
    db = open_database(f"sqlite:///{folder}/{strands}.db", clock)
    fresh_schema(db)
    work = Work()
    stairs = Stairs(strands)
    engine = Engine(db, clock, work, [stairs], node="bench")
    await engine.start()

    def begin(tx: Tx, number: int) -> None:
        work.begin(tx, Stairs, str(number))

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(db.write(begin, number) for number in range(strands)))
    await stairs.all_done.wait()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    await engine.stop()
    await db.close()
    return {
        "seconds": round(seconds, 4),
        "labels_per_second": round(strands * LABELS / seconds),
        "cpu_us_per_label": round(cpu_seconds / (strands * LABELS) * 1e6, 1),
    }


def _raw(folder: str, rows: int = 100, rounds: int = LABELS) -> float:
    """Updates a second by bare sqlite3, as many rows to a commit as strands run side by side."""
    db = sqlite3.connect(Path(folder) / "raw.db", isolation_level=None)
    db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
    db.execute("CREATE TABLE t (id TEXT PRIMARY KEY, label TEXT, epoch INTEGER)")
    db.executemany("INSERT INTO t VALUES (?, 'start', 1)", [(str(n),) for n in range(rows)])
    started = time.perf_counter()
    for step in range(rounds):
        db.execute("BEGIN IMMEDIATE")
        for n in range(rows):
            db.execute(
                "UPDATE t SET label = ? WHERE id = ? AND epoch = 1 RETURNING epoch", (str(step), str(n))
            )
        db.execute("COMMIT")
    rate = rows * rounds / (time.perf_counter() - started)
    db.close()
    return rate


def run() -> dict[str, Any]:
    """A hundred strands, a thousand, and the raw database beside them."""
    with tempfile.TemporaryDirectory(prefix="pileus-bench-") as folder:
        asyncio.run(_climb(folder, 20))  # statements compiled, modules loaded
        hundred = asyncio.run(_climb(folder, 100))
        thousand = asyncio.run(_climb(folder, 1000))
        raw = _raw(folder)
    return {
        "100_strands": hundred,
        "1000_strands": thousand,
        "raw_sqlite_updates_per_second": round(raw),
        "part_of_raw": round(thousand["labels_per_second"] / raw, 3),
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
