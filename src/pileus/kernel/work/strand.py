"""A strand as its labels see it, and what a label answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from pileus.kernel.db import Tx


class Fault(Exception):
    """Why a strand cannot go on, in words for the user: the cause and the way out.

    A label raises or returns it to stop at once; any other exception is taken for passing trouble and the
    label is run again.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Hop:
    """Go on with another label at once, under the same lease. Its deadline starts now."""

    label: str


@dataclass(frozen=True, slots=True)
class Nap:
    """Run this label again after `seconds`, or when woken; None: only when woken."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The resource is gone or needs no more work: the strand ends and its row goes."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Give up: `Program.on_fault` records it for the user, and the strand rests at `Program.after_fault`."""

    fault: Fault


Flow: TypeAlias = Hop | Nap | Done | Fail
Write: TypeAlias = Callable[[Tx], object]
"""Changes rows; runs in the transaction that moves the strand. What it returns is ignored."""
Step: TypeAlias = tuple[Write | None, Flow]
"""What a label answers: rows, flow and events are committed together or not at all."""


class Label(Protocol):
    """A method of a program marked by `@label`, bound or not."""

    @property
    def __name__(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Strand:
    """One execution of a label: where the strand stands, and the ways on from there.

    `return strand.hop(self.boot, write)` reads better than the `(write, Hop("boot"))` that it makes.
    """

    id: str
    """The resource's id."""
    program: str
    label: str
    epoch: int
    """Grows with every lease. Drivers take it with each call and refuse an older one."""
    tries: int
    """How many times in a row this label has failed before this run."""
    last_error: str | None
    deadline_at: datetime | None
    """By when the strand must have left this label."""
    request_id: str | None
    """Of the API call that last asked for something."""
    now: datetime
    """When this run began."""
    doomed: bool
    """Whether the resource's end has been asked for."""

    def hop(self, label: Label, write: Write | None = None) -> Step:
        """Go on with `label` (`self.boot`) at once."""
        return write, Hop(label.__name__)

    def nap(self, seconds: float | None = None, write: Write | None = None) -> Step:
        """Run this label again after `seconds` or when woken; without `seconds`, only when woken."""
        return write, Nap(seconds)

    def done(self, write: Write | None = None) -> Step:
        """End the strand."""
        return write, Done()

    def fail(self, fault: Fault, write: Write | None = None) -> Step:
        """Give up. `write` runs before what `Program.on_fault` writes."""
        return write, Fail(fault)
