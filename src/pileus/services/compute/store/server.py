"""Servers: every statement that reads or changes them outside of lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Update, bindparam, func, or_, select

from pileus.kernel.db import Tx
from pileus.services.compute.model import servers

_UNSHOWN = {
    "public_key",
    "key_type",
    "personality",
    "networks",
    "nics",
    "nics_plugged",
    "unseen",
    "boot_id",
    "task_since",
    "wanted_host",
    "forced_host",
    "disk_gib",
}
SHOWN = [column for column in servers.c if column.name not in _UNSHOWN]
"""What lists read: all but what is long, or for the program alone."""

_INSERT = servers.insert()
_GET = select(servers).where(servers.c.id == bindparam("server"))
_GET_SHOWN = select(*SHOWN).where(servers.c.id == bindparam("server"))
_ALIVE = servers.c.deleted_at.is_(None)
_IN_GROUP = (
    select(servers.c.id, servers.c.host, servers.c.group_id)
    .where(servers.c.group_id == bindparam("grp"), _ALIVE)
    .order_by(servers.c.created_at, servers.c.id)
)
_MEMBERS = (
    select(servers.c.id, servers.c.group_id)
    .where(servers.c.group_id.in_(bindparam("groups", expanding=True)), _ALIVE)
    .order_by(servers.c.created_at, servers.c.id)
)
_HOSTS_OF = select(servers.c.id, servers.c.host).where(
    servers.c.id.in_(bindparam("ids", expanding=True)), _ALIVE
)
_ON_HOST = (
    select(servers.c.id, servers.c.name, servers.c.vm_state, servers.c.task_state)
    .where(servers.c.host == bindparam("on"), _ALIVE)
    .order_by(servers.c.created_at, servers.c.id)
)
_USED = select(
    servers.c.host,
    func.count().label("servers"),
    func.sum(servers.c.vcpus).label("vcpus"),
    func.sum(servers.c.memory_mib).label("memory_mib"),
    func.sum(servers.c.disk_gib).label("disk_gib"),
).where(_ALIVE, servers.c.host.is_not(None))
_USED_BY_HOST = _USED.group_by(servers.c.host)
_USAGE = (
    select(
        servers.c.id,
        servers.c.project_id,
        servers.c.name,
        servers.c.flavor,
        servers.c.vcpus,
        servers.c.memory_mib,
        servers.c.disk_gib,
        servers.c.vm_state,
        servers.c.task_state,
        servers.c.created_at,
        servers.c.launched_at,
        servers.c.deleted_at,
    )
    .where(
        servers.c.launched_at.is_not(None),
        servers.c.launched_at < bindparam("until", type_=servers.c.launched_at.type),
        or_(_ALIVE, servers.c.deleted_at > bindparam("since", type_=servers.c.deleted_at.type)),
    )
    .order_by(servers.c.launched_at, servers.c.id)
)
_USAGE_OF = _USAGE.where(servers.c.project_id == bindparam("project"))

_LEAVE_UNSEEN = (
    servers.update().where(servers.c.id == bindparam("server_key")).values(unseen=servers.c.unseen + 1)
)

_updates: dict[tuple[str, ...], Update] = {}


def insert(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    tx.execute(_INSERT, list(rows))


def get(tx: Tx, server_id: str) -> Row[Any]:
    """The whole row; it is there as long as its strand is."""
    row = tx.row(_GET, server=server_id)
    assert row is not None, server_id
    return row


def find(tx: Tx, server_id: str) -> Row[Any] | None:
    return tx.row(_GET, server=server_id)


def shown(tx: Tx, server_id: str) -> Row[Any]:
    """The row as lists have it."""
    row = tx.row(_GET_SHOWN, server=server_id)
    assert row is not None, server_id
    return row


def update(tx: Tx, server_id: str, **values: Any) -> None:
    """Sets columns; a statement is built once for each set of them."""
    names = tuple(sorted(values))
    statement = _updates.get(names)
    if statement is None:
        statement = _updates[names] = (
            servers.update()
            .where(servers.c.id == bindparam("server_key"))
            .values({name: bindparam(f"new_{name}", type_=servers.c[name].type) for name in names})
            .values(updated_at=bindparam("now", type_=servers.c.updated_at.type))
        )
    params = {f"new_{name}": value for name, value in values.items()}
    tx.execute(statement, {**params, "server_key": server_id, "now": tx.now})


def leave_unseen(tx: Tx, server_id: str) -> None:
    """The server's ports have changed; its strand, which has to be woken, looks at them."""
    tx.execute(_LEAVE_UNSEEN, {"server_key": server_id})


def in_group(tx: Tx, group_id: str) -> Sequence[Row[Any]]:
    """Id and host of the servers of a group."""
    return tx.rows(_IN_GROUP, grp=group_id)


def members(tx: Tx, group_ids: Sequence[str]) -> dict[str, list[str]]:
    """The servers of groups, by group."""
    found: dict[str, list[str]] = {group_id: [] for group_id in group_ids}
    if found:
        for row in tx.rows(_MEMBERS, groups=list(group_ids)):
            found[row.group_id].append(row.id)
    return found


def hosts_of(tx: Tx, server_ids: Sequence[str]) -> dict[str, str | None]:
    """Where servers are; those that do not exist are left out."""
    return {row.id: row.host for row in tx.rows(_HOSTS_OF, ids=list(server_ids))} if server_ids else {}


def on_host(tx: Tx, host: str) -> Sequence[Row[Any]]:
    return tx.rows(_ON_HOST, on=host)


def used_by_host(tx: Tx) -> dict[str, Row[Any]]:
    """What the servers of each host take."""
    return {row.host: row for row in tx.rows(_USED_BY_HOST)}


def usage(tx: Tx, since: Any, until: Any, project_id: str | None) -> Sequence[Row[Any]]:
    """Servers that were there between two times."""
    if project_id is None:
        return tx.rows(_USAGE, since=since, until=until)
    return tx.rows(_USAGE_OF, since=since, until=until, project=project_id)
