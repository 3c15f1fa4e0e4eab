"""The program that the README shows is a whole one: it runs, and survives everything."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, Row, String, Table, delete, insert, select, update

import pileus.kernel.work
from pileus.kernel.clock import Clock
from pileus.kernel.db import Database, Tx, metadata
from pileus.kernel.work import Program
from pileus.testing.crash import Act, Process, Scenario, crash_everywhere

README = Path(pileus.kernel.work.__file__).with_name("README.md")
VOLUME = "volume-1"

volumes = Table(
    "test_readme_volumes",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("size_gib", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("fault", String(255)),
)


def get_volume(tx: Tx, volume_id: str) -> Row[Any] | None:
    return tx.row(select(volumes).where(volumes.c.id == volume_id))


def set_status(tx: Tx, volume_id: str, status: str, fault: str | None = None) -> None:
    tx.execute(update(volumes).where(volumes.c.id == volume_id).values(status=status, fault=fault))


def delete_volume(tx: Tx, volume_id: str) -> None:
    tx.execute(delete(volumes).where(volumes.c.id == volume_id))


@dataclass
class Shelf:
    """The world, and the driver: disks that take two seconds to be made."""

    clock: Clock
    disks: dict[str, tuple[int, float]] = field(default_factory=dict)

    async def ensure(self, volume_id: str, size_gib: int, epoch: int) -> None:
        await self.clock.sleep(0.01)
        _, made_at = self.disks.get(volume_id, (0, self.clock.monotonic()))
        self.disks[volume_id] = (size_gib, made_at)
        await self.clock.sleep(0.01)

    async def is_ready(self, volume_id: str) -> bool:
        await self.clock.sleep(0.01)
        return self.clock.monotonic() - self.disks[volume_id][1] > 2

    async def size_gib(self, volume_id: str) -> int:
        await self.clock.sleep(0.01)
        return self.disks.get(volume_id, (0, 0.0))[0]

    async def remove(self, volume_id: str, epoch: int) -> None:
        await self.clock.sleep(0.01)
        self.disks.pop(volume_id, None)


def shown_program() -> Any:
    """The class in the README's first block of code."""
    found = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert found
    names = dict(vars(pileus.kernel.work), Database=Database, VolumeStore=Shelf)
    names |= {"get_volume": get_volume, "set_status": set_status, "delete_volume": delete_volume}
    exec(found[1], names)
    return names["VolumeProgram"]


class Life(Scenario[Shelf]):
    """A volume is made, grows, goes."""

    def __init__(self) -> None:
        self.program: type[Program] = shown_program()

    def make_world(self, clock: Clock) -> Shelf:
        return Shelf(clock)

    def programs(self, process: Process[Shelf]) -> Sequence[Program]:
        make: Any = self.program
        return [make(process.db, process.world)]

    def story(self) -> Sequence[Act[Shelf]]:
        return [
            Act(self.create, self.is_available),
            Act(self.extend, self.has_grown),
            Act(self.delete, self.is_gone),
        ]

    async def create(self, process: Process[Shelf]) -> None:
        def ask(tx: Tx) -> None:
            tx.execute(insert(volumes).values(id=VOLUME, size_gib=1, status="creating"))
            process.work.begin(tx, self.program, VOLUME)

        await process.db.write(ask)

    async def is_available(self, process: Process[Shelf]) -> bool:
        row = await process.db.read(get_volume, VOLUME)
        assert row is not None
        assert row.fault is None
        return bool(row.status == "available")

    async def extend(self, process: Process[Shelf]) -> None:
        def ask(tx: Tx) -> None:
            tx.execute(update(volumes).values(size_gib=5))
            process.work.wake(tx, VOLUME)

        await process.db.write(ask)

    async def has_grown(self, process: Process[Shelf]) -> bool:
        return process.world.disks[VOLUME][0] == 5

    async def delete(self, process: Process[Shelf]) -> None:
        await process.db.write(process.work.destroy, VOLUME)

    async def is_gone(self, process: Process[Shelf]) -> bool:
        return await process.db.read(get_volume, VOLUME) is None

    async def check(self, process: Process[Shelf]) -> None:
        assert process.world.disks == {}


@pytest.mark.slow
async def test_the_shown_program_survives_everything() -> None:
    proof = await asyncio.wait_for(crash_everywhere(Life()), 100)
    assert proof.points > 40
