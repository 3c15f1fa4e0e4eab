"""How work is asked for: inside the transaction that writes what is wanted."""

from __future__ import annotations

from typing import Protocol

from pileus.kernel.db import Tx
from pileus.kernel.work.program import Program


class LocalEngine(Protocol):
    """The engine in this process, if there is one."""


class Work:
    """Begins, wakes and ends strands. Every method belongs to the caller's transaction; once that has been
    committed the engine in this process hears of it at once, and others when they next poll.

    Handlers find it as `call.work`. `request_id` stays with the strand for logs and calls to others.
    """

    def begin(
        self,
        tx: Tx,
        program: type[Program],
        resource_id: str,
        *,
        label: str = "start",
        request_id: str | None = None,
    ) -> None:
        """A new strand for a new resource. Raises Duplicate where the resource has one already."""
        raise NotImplementedError

    def wake(self, tx: Tx, resource_id: str, *, request_id: str | None = None) -> bool:
        """Have the strand look again: it stops napping, or runs its label once more if it is running now.
        Never lost. False where there is no such strand."""
        raise NotImplementedError

    def destroy(self, tx: Tx, resource_id: str, *, request_id: str | None = None) -> bool:
        """Ask for the resource's end: the strand goes to the label `destroy` from wherever it stands. Asking
        again is no error and hurries it up. False where there is no such strand."""
        raise NotImplementedError
