"""What others may hear of: the life of servers, told in the transaction that leads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pileus.kernel.db import Tx
from pileus.kernel.events import Events

TOLD = ("id", "name", "project_id", "user_id", "vm_state", "task_state", "host")


def announce(
    events: Events, tx: Tx, what: str, server: Mapping[str, Any], request_id: str | None = None, **more: Any
) -> None:
    """`compute.server.WHAT` to those who follow the server's project. `what`: `create.start`, `create.end`,
    `create.error`, and the same for start, stop, reboot and delete; `update` for what the user said about it;
    `power_off.end` for a guest that ended by itself."""
    payload = {name: server.get(name) for name in TOLD} | more
    events.emit(
        tx,
        f"compute.server.{what}",
        project_id=server["project_id"],
        resource_id=server["id"],
        payload=payload,
        request_id=request_id,
    )
