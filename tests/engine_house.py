"""A database, engines that come and go, and a program whose labels do what the test says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import REGISTRY
from sqlalchemy import Column, Integer, String, Table, insert, select

from pileus.kernel.db import Database, Tx, metadata, open_database
from pileus.kernel.work import Engine, Fault, Program, Step, Strand, Work, Write, label
from pileus.kernel.work.model import strands
from pileus.testing.clock import FakeClock
from pileus.testing.database import fresh_schema

notes = Table(
    "test_notes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("text", String(255), nullable=False),
)
Act = Callable[[Strand], Awaitable[Step]]


def note(text: str) -> Write:
    return lambda tx: tx.execute(insert(notes).values(text=text))


class Toy(Program):
    """Its labels do what the test says."""

    name = "test.toy"

    def __init__(self, clock: FakeClock, **acts: Act) -> None:
        self.clock = clock
        self.acts = acts
        self.seen: list[Strand] = []

    async def _act(self, strand: Strand, otherwise: Step) -> Step:
        self.seen.append(strand)
        act = self.acts.get(strand.label)
        return otherwise if act is None else await act(strand)

    @label(deadline=60)
    async def start(self, strand: Strand) -> Step:
        return await self._act(strand, strand.hop(self.steady, note("started")))

    @label()
    async def steady(self, strand: Strand) -> Step:
        return await self._act(strand, strand.nap())

    @label(deadline=60, destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        return await self._act(strand, strand.hop(self.bury))

    @label(destroying=True)
    async def bury(self, strand: Strand) -> Step:
        return await self._act(strand, strand.done(note("buried")))

    def on_fault(self, strand: Strand, fault: Fault) -> Write:
        return note(f"fault: {fault.message}")

    @property
    def trail(self) -> list[str]:
        return [strand.label for strand in self.seen]


class House:
    """A database, a clock, and engines that come and go."""

    def __init__(self, url: str) -> None:
        self.clock = FakeClock(auto=True, busy=lambda: self.db.busy)
        self.db: Database = open_database(url, self.clock)
        self.work = Work()
        self.engines: list[Engine] = []
        fresh_schema(self.db)

    async def engine(
        self, program: Program, *, node: str = "one", work: Work | None = None, **more: Any
    ) -> Engine:
        engine = Engine(self.db, self.clock, work or self.work, [program], node=node, **more)
        self.engines.append(engine)
        await engine.start()
        return engine

    async def begin(self, strand_id: str = "a", **more: Any) -> None:
        def ask(tx: Tx) -> None:
            self.work.begin(tx, Toy, strand_id, **more)

        await self.db.write(ask)

    async def wake(self, strand_id: str = "a") -> bool:
        return await self.db.write(self.work.wake, strand_id)

    async def destroy(self, strand_id: str = "a") -> bool:
        return await self.db.write(self.work.destroy, strand_id)

    async def row(self, strand_id: str = "a") -> Any:
        return await self.db.read(lambda tx: tx.row(select(strands).where(strands.c.id == strand_id)))

    async def notes(self) -> list[str]:
        return list(await self.db.read(lambda tx: tx.scalars(select(notes.c.text).order_by(notes.c.id))))

    async def until(self, true: Callable[[], bool | Awaitable[bool]], seconds: float = 300) -> None:
        """Lets simulated time pass until something is so."""
        deadline = self.clock.monotonic() + seconds
        pause = 0.05
        while True:
            answer = true()
            if answer if isinstance(answer, bool) else await answer:
                return
            assert self.clock.monotonic() < deadline, "it never came true"
            await self.clock.sleep(pause)
            pause = min(0.5, pause * 1.1)

    async def resting(self, strand_id: str = "a") -> bool:
        row = await self.row(strand_id)
        return row is not None and row.due_at is None

    async def gone(self, strand_id: str = "a") -> bool:
        return await self.row(strand_id) is None


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0
