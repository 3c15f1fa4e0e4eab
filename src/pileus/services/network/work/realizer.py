"""What the programs share whose rows the engine is to agree with: networks, groups, ports, routers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Generic, TypeVar

from sqlalchemy import Table

from pileus.kernel.db import Database, Tx
from pileus.kernel.events import Events
from pileus.kernel.work import Fault, Program, Step, Strand, Work, Write, label
from pileus.services.network.driver import NetworkEngine
from pileus.services.network.store import rows
from pileus.services.network.work.pace import DRIFT_SECONDS, REALIZE_SECONDS, WAIT_SECONDS

W = TypeVar("W")


class Realizer(Program, Generic[W]):
    """Makes the engine agree with what some rows want (`W`), and tells in the rows that it does."""

    table: ClassVar[Table]
    """Its rows have the strands' ids."""

    def __init__(self, db: Database, work: Work, events: Events, engine: NetworkEngine) -> None:
        self.db = db
        self.work = work
        self.events = events
        self.engine = engine

    @abstractmethod
    def wanted(self, tx: Tx, row_id: str) -> W | None:
        """What the rows want of the engine; None where there is no such thing any more."""

    def is_ready(self, wanted: W) -> bool:
        """Whether the engine has all that this refers to."""
        return True

    @abstractmethod
    async def ensure(self, wanted: W, epoch: int) -> None:
        """Brings it about."""

    @abstractmethod
    async def delete(self, row_id: str, epoch: int) -> None:
        """Leaves nothing of it in the engine."""

    @abstractmethod
    def realized(self, tx: Tx, row_id: str, wanted: W) -> None:
        """Says so in the rows, and wakes who has waited. Comes again at every look."""

    def deleted(self, tx: Tx, row_id: str) -> None:
        """Wakes who has waited for that."""

    @label(deadline=REALIZE_SECONDS)
    async def start(self, strand: Strand) -> Step:
        return await self._realize(strand, partial(strand.hop, self.steady))

    @label()
    async def steady(self, strand: Strand) -> Step:
        return await self._realize(strand, partial(strand.nap, DRIFT_SECONDS))

    async def _realize(self, strand: Strand, then: Callable[[Write], Step]) -> Step:
        wanted = await self.db.read(self.wanted, strand.id)
        if wanted is None:
            return strand.hop(self.destroy)
        if not self.is_ready(wanted):
            return strand.nap(WAIT_SECONDS)
        await self.ensure(wanted, strand.epoch)
        return then(lambda tx: self.realized(tx, strand.id, wanted))

    @label(deadline=REALIZE_SECONDS, destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        await self.delete(strand.id, strand.epoch)
        return strand.done(lambda tx: self.deleted(tx, strand.id))

    def on_fault(self, strand: Strand, fault: Fault) -> Write:
        return lambda tx: self._record(tx, strand.id, fault)

    def _record(self, tx: Tx, row_id: str, fault: Fault) -> None:
        """`network.port.fault` to those who follow the project; the row's status, where it has one."""
        row = rows.get(tx, self.table, row_id)
        if row is None:
            return
        if "status" in self.table.c:
            rows.note(tx, self.table, row_id, status="ERROR")
        self.events.emit(
            tx,
            f"{self.name}.fault",
            project_id=row.project_id or None,
            resource_id=row_id,
            payload={"id": row_id, "message": fault.message},
        )
