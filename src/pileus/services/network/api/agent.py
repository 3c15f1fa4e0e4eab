"""Agents: what runs on hosts for the network. Here that is each host's network engine."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, false

from pileus.kernel.api.call import Call, read_bool
from pileus.kernel.api.fields import Text255, field, filter, read_only, sort, update
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.db import Tx
from pileus.kernel.errors import Conflict
from pileus.services.network.api.standard import given
from pileus.services.network.model import agents
from pileus.services.network.store import agents as store
from pileus.services.network.work.engine import HEARTBEAT_SECONDS

_NONE = false()
_ALIVE = agents.c.heartbeat_at >= bindparam("alive_since", type_=agents.c.heartbeat_at.type)
_DEAD = ~_ALIVE


def _alive_since(call: Call) -> datetime:
    return call.runtime.clock.now() - timedelta(seconds=2.5 * HEARTBEAT_SECONDS)


def _is_alive(call: Call, values: list[str]) -> tuple[ColumnElement[bool], dict[str, Any]]:
    wanted = read_bool("alive", values[-1])
    return (_ALIVE if wanted else _DEAD), {"alive_since": _alive_since(call)}


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


class Agent(Resource, member="agent", collection="agents", table=agents):
    filters = {"alive": _is_alive}
    default_sort = (("id", "asc"),)

    id: str = field(read_only, filter, sort)
    agent_type: str = field(filter, sort)
    binary: str = field(filter, sort)
    host: str = field(filter, sort)
    topic: str = field(render=lambda call, row: "N/A")
    availability_zone: str = field(filter, sort)
    admin_state_up: bool = field(update, filter, sort)
    description: Text255 = field(update, filter, sort)
    configurations: dict[str, Any] = field(read_only)
    alive: bool = field(render=lambda call, row: row.heartbeat_at >= _alive_since(call))
    created_at: str = field(render=lambda call, row: _time(row.created_at))
    started_at: str = field(render=lambda call, row: _time(row.started_at))
    heartbeat_timestamp: str = field(render=lambda call, row: _time(row.heartbeat_at))

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        return None if call.allows("get_agent") else (_NONE, {})


@Agent.update(policy="update_agent")
def update_agent(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Describes an agent, or marks it as not for use."""
    store.change(tx, row.id, given(body, "admin_state_up", "description"))
    return Agent.load(call, tx, row.id)


@Agent.delete(policy="delete_agent")
def delete_agent(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Forgets an agent whose host is gone."""
    if row.heartbeat_at >= _alive_since(call):
        raise Conflict(
            f"Agent {row.id} on {row.host} is alive and would be back at once; stop its host first."
        )
    store.remove(tx, row.id)


Agent.show(policy=AUTHENTICATED)
Agent.list(policy=AUTHENTICATED)
