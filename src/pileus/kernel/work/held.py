"""A strand that this process has leased."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pileus.kernel.work.moves import Move
from pileus.kernel.work.program import LabelSpec, Program
from pileus.kernel.work.strand import Strand


class Held:
    """The engine's memory of a leased row, kept in step with it from commit to commit."""

    __slots__ = (
        "acting_since",
        "deadline_at",
        "doomed",
        "epoch",
        "id",
        "label",
        "last_error",
        "leased_at",
        "program",
        "request_id",
        "task",
        "timed_out",
        "tries",
        "wake",
    )

    def __init__(self, program: Program, values: Mapping[str, Any], leased_at: float) -> None:
        self.program = program
        self.id: str = values["id"]
        self.label: str = values["label"]
        self.epoch: int = values["epoch"]
        self.wake: int = values["wake"]
        self.deadline_at: datetime | None = values["deadline_at"]
        self.tries: int = values["tries"]
        self.last_error: str | None = values["last_error"]
        self.doomed: bool = values["doomed"]
        self.request_id: str | None = values["request_id"]
        self.leased_at = leased_at
        self.task: asyncio.Task[None] | None = None
        self.acting_since: float | None = None
        self.timed_out = False

    @property
    def spec(self) -> LabelSpec | None:
        """Of its label; None if the program has lost that label since the row was written."""
        return self.program.labels.get(self.label)

    def strand(self, now: datetime) -> Strand:
        """As the label sees it."""
        return Strand(
            id=self.id,
            program=self.program.name,
            label=self.label,
            epoch=self.epoch,
            tries=self.tries,
            last_error=self.last_error,
            deadline_at=self.deadline_at,
            request_id=self.request_id,
            now=now,
            doomed=self.doomed,
        )

    def follow(self, move: Move, row: Any, leased_at: float) -> None:
        """The row has moved, and the lease is kept. `row` is what the move returned."""
        self.label = move.label
        self.deadline_at = move.deadline_at
        self.tries = move.tries
        self.last_error = move.last_error
        self.wake = row.wake
        self.doomed = row.doomed
        self.request_id = row.request_id
        self.leased_at = leased_at
