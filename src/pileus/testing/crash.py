"""Kill it everywhere: proof that programs converge whenever the process dies, and leave nothing behind.

class BootAndDelete(Scenario[World]):
    def make_world(self, clock): return World(clock)
    def programs(self, process): return [ServerProgram(SimHypervisor(process.world), process.db)]
    def story(self): return [Act(self.boot, self.is_active), Act(self.delete, self.is_gone)]
    async def check(self, process): assert process.world.guests == {}

async def test_servers_survive(): await crash_everywhere(BootAndDelete())
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import select

from pileus.kernel.api.service import Runtime, Service
from pileus.kernel.clock import Clock
from pileus.kernel.db import Database, Tx
from pileus.kernel.work import Engine, Program, Step, Strand, Work
from pileus.kernel.work.commit import Committed, Decide
from pileus.kernel.work.held import Held
from pileus.kernel.work.model import strands
from pileus.kernel.work.strand import Write
from pileus.testing.clock import FakeClock
from pileus.testing.database import laid
from pileus.testing.service import runtime_of

W = TypeVar("W")
LOOK_SECONDS = 0.25
STORM_ODDS = 0.15
# Processes die here, not machines: the files need no disk.
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
MOST_POINTS = 5000


class CrashFailure(AssertionError):
    """The scenario did not hold; the message names the label and the point of the kill."""


class Process(Generic[W]):
    """One life of the control plane, from start to kill, over a world and a database that outlive it."""

    def __init__(self, world: W, db: Database, clock: Clock) -> None:
        self.world = world
        self.db = db
        self.clock = clock
        self.work = Work()

    def runtime(self, service: Service, **more: Any) -> Runtime:
        """A service in this life."""
        return runtime_of(service, self.db, self.clock, self.work, **more)


@dataclass(frozen=True)
class Act(Generic[W]):
    """Something a user does, and what must have come of it before the story goes on."""

    do: Callable[[Process[W]], Awaitable[None]]
    """Writes rows and asks for work. It is not killed: what was not acknowledged may be lost."""
    until: Callable[[Process[W]], Awaitable[bool]]


class Scenario(ABC, Generic[W]):
    """What is to be proved. One object serves many runs: it keeps no state, the world and the rows do."""

    converge_seconds = 120.0
    """Simulated time that an act may take to converge, with one kill in it."""
    quiet_seconds = 5.0
    """Simulated time for which the last act's outcome must then last."""

    @abstractmethod
    def make_world(self, clock: Clock) -> W:
        """A new, empty world: what goes on when the process dies. Tables are there already."""

    @abstractmethod
    def programs(self, process: Process[W]) -> Sequence[Program]:
        """Fresh drivers over `process.world` and programs that use them, as after a start."""

    @abstractmethod
    def story(self) -> Sequence[Act[W]]:
        """What happens, in order."""

    @abstractmethod
    async def check(self, process: Process[W]) -> None:
        """Asserts what must hold in the end: nothing orphaned in the world or in the rows."""


@dataclass
class Proof:
    """What was tried."""

    runs: int = 0
    points: int = 0


async def crash_everywhere(
    scenario: Scenario[W],
    *,
    storms: int = 3,
    make_database: Callable[[], str] | None = None,
) -> Proof:
    """Plays the story undisturbed, then with every label run twice, then killed once at every point of every
    label's execution: `leased` (before it), `suspended` (at each await inside it), `acted` (before its
    commit), `committed`. Then `storms` times with kills at random. Raises CrashFailure.

    A driver that never awaits anything has no point inside: have simulated drivers take time.
    `make_database` gives the address of an empty database for each run; SQLite files without it.
    """
    proof = Proof()

    async def run(plan: _Plan) -> _Plan:
        proof.runs += 1
        with tempfile.TemporaryDirectory(prefix="pileus-crash-", dir=MEMORY) as folder:
            url = make_database() if make_database is not None else f"sqlite:///{folder}/crash.db"
            await _Run(scenario, plan, url).play()
        return plan

    await run(_Plan())
    await run(_Plan(twice=True))
    while (await run(_Plan(kill_at=proof.points))).kills:  # none: the story has no more points
        proof.points += 1
        if proof.points > MOST_POINTS:
            raise CrashFailure(f"the story has more than {MOST_POINTS} points: make it shorter")
    for seed in range(storms):
        await run(_Plan(storm=random.Random(seed)))
    return proof


class _Plan:
    """When to kill."""

    def __init__(
        self, kill_at: int | None = None, storm: random.Random | None = None, twice: bool = False
    ) -> None:
        self.twice = twice
        self.kills: list[str] = []
        self._kill_at = kill_at
        self._storm = storm
        self._points = 0

    def reach(self, engine: _MortalEngine, point: str, strand: Strand) -> None:
        if engine.dead:
            return
        index = self._points
        self._points += 1
        if index == self._kill_at or (self._storm is not None and self._storm.random() < STORM_ODDS):
            self.kills.append(f"at label {strand.label!r} of {strand.program} ({strand.id}), {point}")
            engine.die()
            raise asyncio.CancelledError

    def __str__(self) -> str:
        if self.kills:
            return "killed " + ", then ".join(self.kills)
        return "with every label run twice" if self.twice else "undisturbed"


class _MortalEngine(Engine):
    """Dies where the plan says so."""

    def __init__(self, plan: _Plan, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dead = False
        self.remains: list[asyncio.Task[None]] = []
        self.graves: list[Generator[Any, None, Any]] = []
        self._plan = plan

    def die(self) -> None:
        self.dead = True
        self.remains = list(self.abandon())

    async def act(self, program: Program, strand: Strand) -> Step:
        self._plan.reach(self, "leased", strand)
        if self._plan.twice:
            with contextlib.suppress(Exception):
                await super().act(program, strand)
        try:
            step = await _Watched(self, super().act(program, strand), strand)
        except Exception:
            self._plan.reach(self, "acted", strand)
            raise
        self._plan.reach(self, "acted", strand)
        return step

    async def settle(self, held: Held, strand: Strand, write: Write | None, decide: Decide) -> Committed:
        committed = await super().settle(held, strand, write, decide)
        self._plan.reach(self, "committed", strand)
        return committed

    def suspended(self, strand: Strand, label: Generator[Any, None, Any]) -> None:
        try:
            self._plan.reach(self, "suspended", strand)
        except asyncio.CancelledError:
            self.graves.append(label)  # a dead process runs no `finally`
            raise


class _Watched:
    """Awaits a label and tells at which of its awaits it is suspended."""

    def __init__(self, engine: _MortalEngine, label: Awaitable[Step], strand: Strand) -> None:
        self._engine = engine
        self._label = label
        self._strand = strand

    def __await__(self) -> Generator[Any, None, Step]:
        label = self._label.__await__()
        error: BaseException | None = None
        while True:
            try:
                waiting = label.send(None) if error is None else label.throw(error)
            except StopIteration as stop:
                step: Step = stop.value
                return step
            self._engine.suspended(self._strand, label)
            error = None
            try:
                yield waiting
            except BaseException as thrown:
                error = thrown


class _Run(Generic[W]):
    """One playing of the story."""

    def __init__(self, scenario: Scenario[W], plan: _Plan, url: str) -> None:
        self._scenario = scenario
        self._plan = plan
        self._clock = FakeClock(auto=True, busy=lambda: self._db.busy)
        self._db = laid(url, self._clock)
        self._lives: list[_MortalEngine] = []

    async def play(self) -> None:
        others = asyncio.all_tasks()
        try:
            await self._play(self._scenario.make_world(self._clock))
        except CrashFailure:
            raise
        except Exception as error:
            raise CrashFailure(f"{self._plan}: {error or repr(error)}") from error
        finally:
            for engine in self._lives:
                engine.die()
            left = asyncio.all_tasks() - others
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            for label in (label for engine in self._lives for label in engine.graves):
                with contextlib.suppress(BaseException):
                    label.close()
            await self._db.close()

    async def _play(self, world: W) -> None:
        process = await self._start(world)
        for act in self._scenario.story():
            await act.do(process)
            process = await self._converge(process, act)
        process = await self._lasts(process, act)
        await self._scenario.check(process)

    async def _start(self, world: W) -> Process[W]:
        process = Process(world, self._db, self._clock)
        programs = self._scenario.programs(process)
        engine = _MortalEngine(self._plan, self._db, self._clock, process.work, programs, node="crash")
        self._lives.append(engine)
        await engine.start()
        return process

    async def _alive(self, process: Process[W]) -> Process[W]:
        """The process, or its successor where it has been killed."""
        while (engine := self._lives[-1]).dead:
            await asyncio.gather(*engine.remains, return_exceptions=True)
            await self._db.write(_nothing)  # what the dead had sent off has arrived
            process = await self._start(process.world)
        return process

    async def _converge(self, process: Process[W], act: Act[W]) -> Process[W]:
        until = self._clock.monotonic() + self._scenario.converge_seconds * max(1, len(self._plan.kills))
        while True:
            process = await self._alive(process)
            if await act.until(process) and not self._lives[-1].dead:
                return process
            if self._clock.monotonic() > until:
                state = await self._db.read(_state)
                raise CrashFailure(f"{self._plan}: {_name(act.until)} never came true; strands: {state}")
            await self._clock.sleep(LOOK_SECONDS)

    async def _lasts(self, process: Process[W], act: Act[W]) -> Process[W]:
        """Nobody asks for anything more; what has come about stays so."""
        until = self._clock.monotonic() + self._scenario.quiet_seconds
        while self._clock.monotonic() < until:
            await self._clock.sleep(LOOK_SECONDS)
            process = await self._alive(process)
        return await self._converge(process, act)


def _nothing(tx: Tx) -> None:
    return None


def _state(tx: Tx) -> str:
    rows = [dict(row._mapping) for row in tx.rows(select(strands))]
    return (
        "; ".join(f"{r['program']} {r['id']} at {r['label']!r}: {r['last_error'] or 'well'}" for r in rows)
        or "none"
    )


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", repr(function))
