"""The switch's own database: its settings, and the bridges and links that the engine itself needs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pileus.drivers import ovsdb
from pileus.drivers.ovsdb import Operation, Uuid

INTEGRATION = "br-int"
EXTERNAL = "br-ex"
"""Where external networks meet."""

_COPIED = {
    "Open_vSwitch": ("external_ids", "other_config"),
    "Bridge": ("name", "ports", "fail_mode"),
    "Port": ("name",),
    "Interface": ("name", "type", "options", "external_ids", "ofport"),
}


def open_database(socket: str) -> ovsdb.Database:
    return ovsdb.Database(socket, "Open_vSwitch", _COPIED)


async def ensure_settings(
    database: ovsdb.Database, external_ids: Mapping[str, str], other_config: Mapping[str, str]
) -> None:
    row = {"external_ids": dict(external_ids), "other_config": dict(other_config)}
    present = next(iter(database.rows["Open_vSwitch"].values()), None)
    if present is None:
        values = {column: ovsdb.encode(value) for column, value in row.items()}
        await database.transact({"op": "insert", "table": "Open_vSwitch", "row": values})
        return
    values = {
        column: ovsdb.encode({**mapping, **value})
        for column, value in row.items()
        if isinstance(mapping := present[column], dict) and not value.items() <= mapping.items()
    }
    if values:
        await database.transact({"op": "update", "table": "Open_vSwitch", "where": [], "row": values})


async def ensure_bridge(database: ovsdb.Database, name: str, fail_mode: str) -> None:
    """A bridge of the userspace datapath; `secure` forwards nothing without flows, `standalone` learns."""
    if _find(database, "Bridge", name) is not None:
        return
    await database.transact(
        *_port(name, {"name": name, "type": "internal"}),
        {
            "op": "insert",
            "table": "Bridge",
            "uuid-name": "bridge",
            "row": {
                "name": name,
                "datapath_type": "netdev",
                "fail_mode": fail_mode,
                "other_config": ["map", [["disable-in-band", "true"]]],
                "ports": ["named-uuid", "port"],
            },
        },
        {
            "op": "mutate",
            "table": "Open_vSwitch",
            "where": [],
            "mutations": [["bridges", "insert", ["named-uuid", "bridge"]]],
        },
    )


async def ensure_port(database: ovsdb.Database, bridge: str, interface: dict[str, Any]) -> None:
    """A port of a bridge, with one interface of these columns, `name` among them."""
    name = interface["name"]
    port = _find(database, "Port", name)
    owner = _find(database, "Bridge", bridge)
    if owner is None:
        raise ovsdb.OvsdbError(f"there is no bridge {bridge}")
    if port is not None and Uuid(port) in database.rows["Bridge"][owner]["ports"]:
        return
    await database.transact(
        *_port(name, {column: ovsdb.encode(value) for column, value in interface.items()}),
        {
            "op": "mutate",
            "table": "Bridge",
            "where": [["name", "==", bridge]],
            "mutations": [["ports", "insert", ["named-uuid", "port"]]],
        },
    )


async def until_plugged(database: ovsdb.Database, *interfaces: str, timeout: float = 10.0) -> None:
    """Wait until the switch itself has all these interfaces."""
    changed = asyncio.Event()
    database.watch(lambda *_: changed.set())
    try:
        async with asyncio.timeout(timeout):
            while missing := [name for name in interfaces if not _has_number(database, name)]:
                changed.clear()
                await changed.wait()
    except TimeoutError:
        raise ovsdb.OvsdbError(f"the switch has not taken up {', '.join(missing)}") from None


def _has_number(database: ovsdb.Database, name: str) -> bool:
    interface = _find(database, "Interface", name)
    number = None if interface is None else ovsdb.only(database.rows["Interface"][interface]["ofport"])
    return isinstance(number, int) and number > 0


def _port(name: str, interface: dict[str, Any]) -> list[Operation]:
    return [
        {"op": "insert", "table": "Interface", "uuid-name": "interface", "row": interface},
        {
            "op": "insert",
            "table": "Port",
            "uuid-name": "port",
            "row": {"name": name, "interfaces": ["named-uuid", "interface"]},
        },
    ]


def _find(database: ovsdb.Database, table: str, name: str) -> str | None:
    rows = database.rows[table].items()
    return next((row_id for row_id, row in rows if name in row["name"]), None)
