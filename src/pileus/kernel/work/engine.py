"""The engine: leases strands that are due, runs their labels, commits what they answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from pileus.kernel.clock import Clock
from pileus.kernel.db import Database, DatabaseGone
from pileus.kernel.ids import new_hex
from pileus.kernel.work import metrics, moves, store
from pileus.kernel.work.commit import Committed, Decide, commit, take
from pileus.kernel.work.held import Held
from pileus.kernel.work.intake import Work
from pileus.kernel.work.program import Program
from pileus.kernel.work.store import LeaseLost
from pileus.kernel.work.strand import Fault, Flow, Step, Strand, Write

log = structlog.get_logger("pileus.work")

POLL_SECONDS = 1.0
POLL_GAP_SECONDS = 0.02
"""Naps that end closer together than this are picked up by one poll."""
LABEL_SECONDS = 30.0
RENEW_SECONDS = store.LEASE.total_seconds() / 3


class LabelTimeout(Exception):
    """The label ran for too long and was cancelled."""


class Engine:
    """Runs the strands of `programs`. `node` names the process among all that share the database, and is the
    same after a restart: leases of its earlier incarnations are taken over at once."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        work: Work,
        programs: Sequence[Program],
        *,
        node: str,
        limit: int = 256,
    ) -> None:
        """`limit`: labels that run at the same time."""
        self._db = db
        self._clock = clock
        self._work = work
        self._programs: Mapping[str, Program] = {program.name: program for program in programs}
        self._node = node
        self._owner = f"{node}/{new_hex()}"
        self._limit = limit
        self._held: dict[str, Held] = {}
        self._ready: deque[Held] = deque()
        self._running = 0
        self._hinted: set[str] = set()
        self._bell = asyncio.Event()
        self._idle = asyncio.Event()
        self._next_poll = 0.0
        self._last_poll = 0.0
        self._stopping = False
        self._abandoned = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take over what an earlier incarnation left, and go to work."""
        left = await self._db.write(store.take_over, self._node, self._owner)
        if left:
            log.info("strands taken over from an earlier run", count=left)
        self._next_poll = self._clock.monotonic()
        self._spawn(self._forever(self._poll))
        self._spawn(self._forever(self._tend))
        self._work.attach(self)

    async def stop(self, grace: float = 5.0) -> None:
        """Take nothing new, let running labels finish for `grace` seconds, abandon the rest, release all."""
        self._stopping = True
        self._work.attach(None)
        self._ready.clear()
        if self._running:
            await self._clock.wait(self._idle, grace)
        await asyncio.gather(*self.abandon(), return_exceptions=True)
        with contextlib.suppress(DatabaseGone):
            await self._db.write(store.release, self._owner)

    def abandon(self) -> Iterable[asyncio.Task[None]]:
        """Let go at once, as a dying process does: nothing more is committed, no lease is given back.
        Returns the cancelled tasks."""
        self._abandoned = self._stopping = True
        self._work.attach(None)
        self._ready.clear()
        for task in self._tasks:
            task.cancel()
        self._held.clear()
        metrics.STRANDS_HELD.set(0)
        return list(self._tasks)

    # What Work tells; see LocalEngine.

    def lease_for(self, program: str) -> str | None:
        room = program in self._programs and len(self._held) < 4 * self._limit
        return self._owner if room and not self._stopping else None

    def adopt(self, values: Mapping[str, Any]) -> None:
        self._admit(values)

    def hint(self, strand_id: str) -> None:
        self._hinted.add(strand_id)
        self._bell.set()

    # Finding work.

    async def _poll(self) -> None:
        await self._clock.wait(self._bell, max(0.0, self._next_poll - self._clock.monotonic()))
        self._bell.clear()
        room = 4 * self._limit - len(self._held)
        ids, self._hinted = self._hinted, set()
        if room <= len(ids):  # what is due stays due
            self._next_poll = self._clock.monotonic() + POLL_GAP_SECONDS
            return
        if self._clock.monotonic() >= self._next_poll:
            ids |= await self._overdue(room - len(ids))
        if ids:
            for values in await self._db.write(take, ids, self._programs, self._owner):
                self._admit(values)

    async def _overdue(self, most: int) -> set[str]:
        """What may be taken; sets the time of the next poll."""
        self._last_poll = self._clock.monotonic()
        self._next_poll = self._last_poll + POLL_SECONDS
        found, next_due = await self._db.read(store.due, self._programs.keys(), most)
        now = self._clock.now()
        overdue = (now - found[0][1]).total_seconds() if found else 0.0
        metrics.OLDEST_OVERDUE_SECONDS.set(max(0.0, overdue))
        if len(found) == most:
            self._poll_in(0)
        elif next_due is not None:
            self._poll_in((next_due - now).total_seconds())
        return {strand_id for strand_id, _ in found if not self._looks_after(strand_id)}

    def _looks_after(self, strand_id: str) -> bool:
        """Whether it is held here. One whose label will not be cancelled is left to itself and taken anew."""
        held = self._held.get(strand_id)
        return held is not None and not held.timed_out

    def _poll_in(self, seconds: float) -> None:
        soonest = self._last_poll + POLL_GAP_SECONDS
        at = max(self._clock.monotonic() + seconds, soonest)
        if at < self._next_poll:
            self._next_poll = at
            self._bell.set()

    # Looking after what is held.

    async def _tend(self) -> None:
        await self._clock.sleep(1.0)
        now = self._clock.monotonic()
        for held in self._held.values():
            since = held.acting_since
            if since is not None and now - since > LABEL_SECONDS and not held.timed_out and held.task:
                held.timed_out = True
                held.task.cancel()
        old = [h for h in self._held.values() if now - h.leased_at > RENEW_SECONDS and not h.timed_out]
        if old:
            await self._db.write(store.renew, [held.id for held in old], self._owner)
            for held in old:
                held.leased_at = now

    async def _forever(self, turn: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await turn()
            except DatabaseGone as error:
                log.warning("the database does not answer", error=str(error))
                await self._clock.sleep(POLL_SECONDS)
            except Exception:
                log.exception("the work engine stumbled")
                await self._clock.sleep(POLL_SECONDS)

    # Running labels.

    def _admit(self, values: Mapping[str, Any]) -> None:
        if self._stopping:  # stop() gives the lease back
            return
        program = self._programs[values["program"]]
        held = self._held[values["id"]] = Held(program, values, self._clock.monotonic())
        metrics.STRANDS_HELD.set(len(self._held))
        if self._running < self._limit:
            self._run(held)
        else:
            self._ready.append(held)

    def _run(self, held: Held) -> None:
        self._running += 1
        self._idle.clear()
        held.task = self._spawn(self._carry(held))

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _carry(self, held: Held) -> None:
        """Runs label after label for as long as the lease is kept."""
        structlog.contextvars.bind_contextvars(strand=held.id, request_id=held.request_id)
        try:
            while await self._step(held):
                pass
        except LeaseLost:
            metrics.LEASES_LOST.inc()
            log.warning("lease lost", program=held.program.name, label=held.label)
        except DatabaseGone as error:  # the lease runs out, and then the label is run again
            log.warning("could not commit", program=held.program.name, label=held.label, error=str(error))
        except Exception:
            log.exception("the work engine stumbled", program=held.program.name, label=held.label)
        finally:
            self._drop(held)

    def _drop(self, held: Held) -> None:
        if self._held.get(held.id) is held:
            del self._held[held.id]
        metrics.STRANDS_HELD.set(len(self._held))
        self._running -= 1
        if self._ready:
            self._run(self._ready.popleft())
        elif not self._running:
            self._idle.set()

    async def _step(self, held: Held) -> bool:
        """One label and its commit; whether to go on with the next."""
        started = self._clock.monotonic()
        strand = held.strand(self._clock.now())
        write, outcome = await self._outcome(held, strand)
        committed = await self._settle(held, strand, write, outcome)
        metrics.LABEL_SECONDS.labels(strand.program, strand.label).observe(self._clock.monotonic() - started)
        move = committed.move
        if move.fault is not None:
            metrics.FAULTS.labels(strand.program, strand.label).inc()
            log.warning("fault", program=strand.program, label=strand.label, fault=move.fault.message)
        if committed.kept:
            held.follow(move, committed.row, self._clock.monotonic())
            return True
        if committed.row is not None and (due_at := move.due_at or move.woken_due_at) is not None:
            self._poll_in((due_at - self._clock.now()).total_seconds())
        return False

    async def _outcome(self, held: Held, strand: Strand) -> tuple[Write | None, Flow | Exception]:
        """What the label answers or raises."""
        task = asyncio.current_task()
        assert task is not None
        held.acting_since = self._clock.monotonic()
        try:
            return await self.act(held.program, strand)
        except asyncio.CancelledError:
            # Ours to handle if the label took too long, or if something it waited for was cancelled.
            if self._abandoned or (task.cancelling() and not held.timed_out):
                raise
            error: Exception = LabelTimeout(f"cancelled; a label has {LABEL_SECONDS:g} s")
        except Exception as raised:
            error = raised
        finally:
            held.acting_since = None
            if held.timed_out:
                held.timed_out = False
                task.uncancel()
        if not isinstance(error, Fault):
            metrics.LABEL_FAILURES.labels(strand.program, strand.label).inc()
            log.warning("label failed", program=strand.program, label=strand.label, exc_info=error)
        return None, error

    async def act(self, program: Program, strand: Strand) -> Step:
        """Run the label."""
        if strand.label not in program.labels:
            raise Fault(f"{program.name} has no label {strand.label!r} any more")
        step: Step = await getattr(program, strand.label)(strand)
        return step

    async def _settle(
        self, held: Held, strand: Strand, write: Write | None, outcome: Flow | Exception
    ) -> Committed:
        """Commits the outcome, or, where its writes fail, that failure."""
        program = type(held.program)
        try:
            return await self.settle(held, strand, write, partial(moves.after, program, strand, outcome))
        except (LeaseLost, DatabaseGone):
            raise
        except Exception as error:
            log.warning("write failed", program=strand.program, label=strand.label, exc_info=error)
            failure = error
        with contextlib.suppress(Exception):  # on_fault may be what fails
            return await self.settle(held, strand, None, partial(moves.after, program, strand, failure))
        return await self.settle(held, strand, None, partial(moves.again, strand, failure))

    async def settle(self, held: Held, strand: Strand, write: Write | None, decide: Decide) -> Committed:
        """Commit the move and the writes in one transaction."""
        owner = None if self._stopping else self._owner
        return await self._db.write(commit, held.program, strand, held.wake, owner, write, decide)
