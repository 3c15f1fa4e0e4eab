"""Agents and their heartbeats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID, uuid5

from sqlalchemy import bindparam, delete, insert, select, update

from pileus.kernel.db import Tx
from pileus.services.network.model import agents

_SPACE: Final = UUID("2d5ad5a0-3c6c-4f7e-9a8c-1f0e4f6f7a11")
"""Agents' ids derive from it, so that a host has the same one for ever."""
_FIND = select(agents.c.id).where(agents.c.id == bindparam("key"))
_BEAT = (
    update(agents)
    .where(agents.c.id == bindparam("key"))
    .values(heartbeat_at=bindparam("now", type_=agents.c.heartbeat_at.type))
)
_INSERT = insert(agents)
_DELETE = delete(agents).where(agents.c.id == bindparam("key"))


def beat(
    tx: Tx, host: str, agent_type: str, binary: str, zone: str, configurations: Mapping[str, Any]
) -> None:
    """The agent lives; it is made known where it is new."""
    agent_id = str(uuid5(_SPACE, f"{host} {binary}"))
    if tx.scalar(_FIND, key=agent_id) is not None:
        tx.execute(_BEAT, {"key": agent_id, "now": tx.now})
        return
    tx.execute(
        _INSERT,
        {
            "id": agent_id,
            "host": host,
            "agent_type": agent_type,
            "binary": binary,
            "availability_zone": zone,
            "admin_state_up": True,
            "description": "",
            "configurations": dict(configurations),
            "created_at": tx.now,
            "started_at": tx.now,
            "heartbeat_at": tx.now,
        },
    )


def change(tx: Tx, agent_id: str, values: Mapping[str, Any]) -> None:
    if values:
        tx.execute(update(agents).where(agents.c.id == agent_id).values(**values))


def remove(tx: Tx, agent_id: str) -> None:
    tx.execute(_DELETE, {"key": agent_id})
