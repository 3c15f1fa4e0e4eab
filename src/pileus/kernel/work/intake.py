"""How work is asked for: inside the transaction that writes what is wanted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from pileus.kernel.db import Tx
from pileus.kernel.work import store
from pileus.kernel.work.program import Program


class LocalEngine(Protocol):
    """The engine in this process, if there is one, and it lives on the event loop that asks for work."""

    def lease_for(self, program: str) -> str | None:
        """Under which name a new strand may be born leased; None where it had better be polled for.
        May be called from any thread."""

    def adopt(self, values: Mapping[str, Any]) -> None:
        """Run a strand that was born leased to this engine."""

    def hint(self, strand_id: str) -> None:
        """This strand may be due now."""


class Work:
    """Begins, wakes and ends strands. Every method belongs to the caller's transaction; once that has been
    committed the engine in this process hears of it at once, and others when they next poll.

    Handlers find it as `call.runtime.work`. `request_id` stays with the strand for logs and calls to others.
    """

    def __init__(self) -> None:
        self._engine: LocalEngine | None = None

    def attach(self, engine: LocalEngine | None) -> None:
        """Whom to tell; None: nobody here, others poll."""
        self._engine = engine

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
        engine = self._engine
        owner = engine.lease_for(program.name) if engine is not None else None
        spec = program.labels[label]
        values = {
            "id": resource_id,
            "program": program.name,
            "label": label,
            # Born leased, a strand needs no transaction to be picked up.
            "due_at": tx.now if owner is None else tx.now + store.LEASE,
            "lease_owner": owner,
            "epoch": 1,
            "wake": 0,
            "deadline_at": spec.deadline_at(tx.now),
            "tries": 0,
            "last_error": None,
            "doomed": spec.destroying,
            "created_at": tx.now,
            "request_id": request_id,
        }
        store.insert_strand(tx, values)
        if engine is None:
            return
        if owner is None:
            tx.after_commit(lambda: engine.hint(resource_id))
        else:
            tx.after_commit(lambda: engine.adopt(values))

    def wake(self, tx: Tx, resource_id: str, *, request_id: str | None = None) -> bool:
        """Have the strand look again: it stops napping, or runs its label once more if it is running now.
        Never lost. False where there is no such strand."""
        return self._wake(tx, resource_id, request_id, dooms=False)

    def destroy(self, tx: Tx, resource_id: str, *, request_id: str | None = None) -> bool:
        """Ask for the resource's end: the strand goes to the label `destroy` from wherever it stands. Asking
        again is no error and hurries it up. False where there is no such strand."""
        return self._wake(tx, resource_id, request_id, dooms=True)

    def living(self, tx: Tx, resource_ids: Collection[str]) -> set[str]:
        """Those of the resources that have a strand, be it on its way to the end."""
        return store.living(tx, resource_ids)

    def _wake(self, tx: Tx, resource_id: str, request_id: str | None, *, dooms: bool) -> bool:
        found = store.wake(tx, resource_id, dooms=dooms, request_id=request_id)
        engine = self._engine
        if found and engine is not None:
            tx.after_commit(lambda: engine.hint(resource_id))
        return found
