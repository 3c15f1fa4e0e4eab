"""The crash harness: a sound program passes at every point, and each kind of unsound one is caught."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Column, String, Table, delete, insert, select, update

from pileus.kernel.clock import Clock
from pileus.kernel.db import Database, Tx, metadata
from pileus.kernel.ids import new_uuid
from pileus.kernel.work import Program, Step, Strand, label
from pileus.testing.crash import Act, CrashFailure, Process, Scenario, crash_everywhere
from pileus.testing.postgres import PostgresServer

lamps = Table(
    "test_lamps",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("socket", String(36)),
)
LAMP = "lamp-1"


@dataclass
class House:
    """The world: lamps that burn, sockets in use. Every call takes its time, half before the deed."""

    clock: Clock
    burning: set[str] = field(default_factory=set)
    sockets: set[str] = field(default_factory=set)
    locked: bool = False

    async def plug(self, socket: str) -> None:
        await self.clock.sleep(0.01)
        self.sockets.add(socket)
        await self.clock.sleep(0.01)

    async def unplug(self, socket: str) -> None:
        await self.clock.sleep(0.01)
        self.sockets.discard(socket)
        await self.clock.sleep(0.01)

    async def light(self, lamp: str) -> None:
        await self.clock.sleep(0.01)
        self.burning.add(lamp)
        await self.clock.sleep(0.01)

    async def put_out(self, lamp: str) -> None:
        await self.clock.sleep(0.01)
        self.burning.discard(lamp)
        await self.clock.sleep(0.01)


def set_status(tx: Tx, status: str) -> None:
    tx.execute(update(lamps).where(lamps.c.id == LAMP).values(status=status))


class Lamp(Program):
    """A sound one: names derive from ids, every step may be repeated."""

    name = "test.lamp"

    def __init__(self, house: House, db: Database) -> None:
        self.house = house
        self.db = db

    @label(deadline=60)
    async def start(self, strand: Strand) -> Step:
        await self.house.plug(f"socket-of-{strand.id}")
        return strand.hop(self.light)

    @label(deadline=60)
    async def light(self, strand: Strand) -> Step:
        await self.house.light(strand.id)
        return strand.hop(self.steady, lambda tx: set_status(tx, "on"))

    @label()
    async def steady(self, strand: Strand) -> Step:
        if strand.id not in self.house.burning:
            await self.house.light(strand.id)
        return strand.nap(60)

    @label(deadline=60, destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        await self.house.put_out(strand.id)
        await self.house.unplug(f"socket-of-{strand.id}")
        return strand.done(lambda tx: tx.execute(delete(lamps)))


class Evening(Scenario[House]):
    """A lamp is lit, burns, is put out."""

    converge_seconds = 20.0

    def __init__(self, program: type[Lamp]) -> None:
        self.program = program

    def make_world(self, clock: Clock) -> House:
        return House(clock)

    def programs(self, process: Process[House]) -> Sequence[Program]:
        return [self.program(process.world, process.db)]

    def story(self) -> Sequence[Act[House]]:
        return [Act(self.light, self.is_on), Act(self.put_out, self.is_gone)]

    async def light(self, process: Process[House]) -> None:
        def ask(tx: Tx) -> None:
            tx.execute(insert(lamps).values(id=LAMP, status="new"))
            process.work.begin(tx, self.program, LAMP)

        await process.db.write(ask)

    async def put_out(self, process: Process[House]) -> None:
        assert await process.db.write(process.work.destroy, LAMP)

    async def is_on(self, process: Process[House]) -> bool:
        if await process.db.read(lambda tx: tx.scalar(select(lamps.c.status))) != "on":
            return False
        assert LAMP in process.world.burning, "a lamp said to be on is dark"
        return True

    async def is_gone(self, process: Process[House]) -> bool:
        return not await process.db.read(lambda tx: tx.rows(select(lamps)))

    async def check(self, process: Process[House]) -> None:
        assert process.world.burning == set()
        assert process.world.sockets == set(), "a socket is left plugged in"


@pytest.mark.slow
async def test_a_sound_program_survives_everything() -> None:
    proof = await crash_everywhere(Evening(Lamp))
    # 4 labels with leased, acted, committed, and 2 to 4 awaits in each but steady.
    assert 20 <= proof.points <= 30
    assert proof.runs == proof.points + 6


@pytest.mark.host
@pytest.mark.slow
async def test_a_sound_program_survives_everything_on_postgresql(postgres: PostgresServer) -> None:
    proof = await crash_everywhere(Evening(Lamp), make_database=postgres.create_database)
    assert proof.points >= 20


class NamesAtRandom(Lamp):
    """Each run of the label plugs in another socket."""

    @label(deadline=60)
    async def start(self, strand: Strand) -> Step:
        socket = new_uuid()
        await self.house.plug(socket)

        def keep(tx: Tx) -> None:
            tx.execute(update(lamps).values(socket=socket))

        return strand.hop(self.light, keep)

    @label(deadline=60, destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        socket = await self.db.read(lambda tx: tx.scalar(select(lamps.c.socket)))
        await self.house.put_out(strand.id)
        if socket is not None:
            await self.house.unplug(socket)
        return strand.done(lambda tx: tx.execute(delete(lamps)))


class RemembersInMemory(Lamp):
    """What a label learnt is kept in the process alone."""

    @label(deadline=60)
    async def start(self, strand: Strand) -> Step:
        self.socket = f"socket-of-{strand.id}"
        await self.house.plug(self.socket)
        return strand.hop(self.light)

    @label(deadline=60)
    async def light(self, strand: Strand) -> Step:
        assert self.socket in self.house.sockets
        return await super().light(strand)


class DestroysOnlyOnce(Lamp):
    """Takes what is not there for an error."""

    @label(deadline=60, destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        if strand.id not in self.house.burning:
            raise RuntimeError("it does not burn")
        return await super().destroy(strand)


class LocksWithoutLease(Lamp):
    """Counts on a `finally` that no dying process runs."""

    @label(deadline=60)
    async def light(self, strand: Strand) -> Step:
        if self.house.locked:
            return strand.nap(1)
        self.house.locked = True
        try:
            return await super().light(strand)
        finally:
            self.house.locked = False


class SaysItBeforeItIsTrue(Lamp):
    """The rows are ahead of the world."""

    @label(deadline=60)
    async def start(self, strand: Strand) -> Step:
        return strand.hop(self.light, lambda tx: set_status(tx, "on"))


class ForgetsTheSocket(Lamp):
    """Wrong even if nothing dies."""

    @label(deadline=60, destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        await self.house.put_out(strand.id)
        return strand.done(lambda tx: tx.execute(delete(lamps)))


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (NamesAtRandom, r"with every label run twice: a socket is left plugged in"),
        (
            RemembersInMemory,
            r"killed at label 'start'.*committed: is_on never came true.*no attribute 'socket'",
        ),
        (DestroysOnlyOnce, r"with every label run twice: is_gone never came true"),
        (LocksWithoutLease, r"killed at label 'light'.*suspended: is_on never came true"),
        (SaysItBeforeItIsTrue, r"a lamp said to be on is dark"),
        (ForgetsTheSocket, r"undisturbed: a socket is left plugged in"),
    ],
)
@pytest.mark.slow
async def test_an_unsound_program_is_caught(program: type[Lamp], said: str) -> None:
    with pytest.raises(CrashFailure, match=said):
        await crash_everywhere(Evening(program))
