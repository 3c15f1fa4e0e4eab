"""What others may hear of: the life of networks, ports, routers and the like, told in the transaction that
leads it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.resource import Resource
from pileus.kernel.db import Tx


def announce(call: Call, tx: Tx, resource: type[Resource], what: str, row: Row[Any]) -> None:
    """`network.port.create.end` to those who follow the resource's project. `what`: create, update or
    delete."""
    payload = {"id": row.id, "project_id": row.project_id, "revision_number": row.revision_number}
    for name in ("name", "status", "network_id", "device_id"):
        value = getattr(row, name, None)
        if value is not None:
            payload[name] = value
    call.runtime.events.emit(
        tx,
        f"network.{resource.member}.{what}.end",
        project_id=row.project_id or None,
        resource_id=row.id,
        payload=payload,
        request_id=call.request_id,
    )
