"""What users hear of what could not be made: the status ERROR, and an event with the words."""

from __future__ import annotations

from sqlalchemy import Table

from pileus.kernel.db import Tx
from pileus.kernel.events import Events
from pileus.kernel.work import Fault
from pileus.services.network.store import rows


def record(tx: Tx, events: Events, table: Table, kind: str, row_id: str, fault: Fault) -> None:
    """`network.port.fault` to those who follow the project; the row's status, where it has one."""
    row = rows.get(tx, table, row_id)
    if row is None:
        return
    if "status" in table.c:
        rows.note(tx, table, row_id, status="ERROR")
    events.emit(
        tx,
        f"network.{kind}.fault",
        project_id=row.project_id or None,
        resource_id=row_id,
        payload={"id": row_id, "message": fault.message},
    )
