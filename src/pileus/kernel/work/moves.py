"""Where a label's outcome takes its strand: calculation only."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from pileus.kernel.work.program import LabelSpec, Program
from pileus.kernel.work.strand import Done, Fail, Fault, Flow, Hop, Nap, Strand

BACKOFF_SECONDS = 0.1
BACKOFF_MAX_SECONDS = 30.0
END_AGAIN_SECONDS = 60.0
"""After a fault in a destroying label, until the end is tried once more."""


@dataclass(frozen=True, slots=True)
class Move:
    """What becomes of the strand's row. `due_at` and `keeps` hold where it was not woken meanwhile."""

    label: str
    deadline_at: datetime | None
    tries: int = 0
    last_error: str | None = None
    due_at: datetime | None = None
    """When it runs again, if the lease is not kept; None: when woken."""
    keeps: bool = False
    """Whether the strand goes on at once under the same lease."""
    woken_due_at: datetime | None = None
    """When it runs again if it was woken; None: at once, under the same lease."""
    ends: bool = False
    fault: Fault | None = None


def after(program: type[Program], strand: Strand, outcome: Flow | Exception, now: datetime) -> Move:
    """The move that follows a label's flow, or the exception that it raised."""
    if isinstance(outcome, Hop):
        if (spec := program.labels.get(outcome.label)) is None:
            outcome = Fault(f"{program.name} has no label {outcome.label!r}")
        else:
            return Move(spec.name, spec.deadline_at(now), keeps=True)
    if isinstance(outcome, Done):
        return Move(strand.label, strand.deadline_at, ends=True)
    if isinstance(outcome, Fail):
        outcome = outcome.fault
    if isinstance(outcome, Fault):
        return _fault(program, strand, outcome, now)
    late = strand.deadline_at is not None and now >= strand.deadline_at
    if late:
        return _fault(program, strand, _deadline_fault(program, strand, outcome), now)
    if isinstance(outcome, Nap):
        return Move(strand.label, strand.deadline_at, due_at=_nap_ends(outcome, strand, now))
    return again(strand, outcome, now)


def again(strand: Strand, error: Exception, now: datetime) -> Move:
    """The move that follows passing trouble: the same label after a while."""
    tries = strand.tries + 1
    return Move(
        strand.label,
        strand.deadline_at,
        tries=tries,
        last_error=described(error),
        due_at=_not_after(strand.deadline_at, now + timedelta(seconds=backoff(tries))),
        woken_due_at=now + timedelta(seconds=BACKOFF_SECONDS),
    )


def backoff(tries: int) -> float:
    """Seconds until the next run after `tries` failures in a row: doubling, with jitter so that many strands
    that failed together do not come back together."""
    return min(BACKOFF_MAX_SECONDS, BACKOFF_SECONDS * 2.0 ** min(tries - 1, 16)) * random.uniform(0.75, 1.25)


def described(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _nap_ends(nap: Nap, strand: Strand, now: datetime) -> datetime | None:
    if nap.seconds is None:
        return strand.deadline_at
    return _not_after(strand.deadline_at, now + timedelta(seconds=nap.seconds))


def _not_after(deadline_at: datetime | None, moment: datetime) -> datetime:
    """So that a label has its last look when its time is up, and not long after."""
    return moment if deadline_at is None else min(moment, deadline_at)


def _fault(program: type[Program], strand: Strand, fault: Fault, now: datetime) -> Move:
    spec = program.labels.get(strand.label)
    if spec is not None and spec.destroying:
        again = now + timedelta(seconds=END_AGAIN_SECONDS)
        return Move(spec.name, spec.deadline_at(again), last_error=fault.message, due_at=again, fault=fault)
    return Move(program.after_fault, None, last_error=fault.message, fault=fault)


def _deadline_fault(program: type[Program], strand: Strand, outcome: Nap | Exception) -> Fault:
    spec: LabelSpec | None = program.labels.get(strand.label)
    allowed = f" within {spec.deadline_seconds:g} s" if spec and spec.deadline_seconds else " in time"
    cause = (str(outcome) or described(outcome)) if isinstance(outcome, Exception) else strand.last_error
    return Fault(f"'{strand.label}' did not finish{allowed}" + (f": {cause}" if cause else ""))
