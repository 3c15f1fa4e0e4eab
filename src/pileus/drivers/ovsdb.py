"""A lean client of an Open vSwitch database: one transaction over its unix socket (RFC 7047, section 4.1.3).

Plugging a port needs two small transactions and no copy of the database. A connection of its own for each
costs about a millisecond, where `ovs-vsctl` takes 15 to 30 and an IDL first downloads all tables; it also
needs no answers to the server's idle probes.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

Operation = dict[str, Any]
Rows = list[dict[str, Any]]


class OvsdbError(Exception):
    """The database did not answer, or refused; the message names its socket and what it said."""


async def transact(socket_path: str, *operations: Operation, timeout: float = 5.0) -> list[dict[str, Any]]:
    """Run the operations as one transaction on `Open_vSwitch`; gives their results, in order.

    Raises `OvsdbError` when the socket does not answer within `timeout` seconds or an operation fails, in
    which case none of them took place.
    """
    request = {"method": "transact", "params": ["Open_vSwitch", *operations], "id": 0}
    try:
        async with asyncio.timeout(timeout):
            reply = await _call(socket_path, msgspec.json.encode(request))
    except (OSError, TimeoutError) as error:
        what = str(error) or f"no answer within {timeout:g} s"
        raise OvsdbError(f"Open vSwitch database {socket_path} does not answer: {what}") from error
    if reply.get("error"):
        raise OvsdbError(f"Open vSwitch database {socket_path} refused the transaction: {reply['error']}")
    results: list[dict[str, Any] | None] = reply["result"]
    for result in results:
        if result is not None and "error" in result:
            details = result.get("details") or result["error"]
            raise OvsdbError(f"Open vSwitch database {socket_path} refused: {details}")
    return [result or {} for result in results]


def select(table: str, column: str, value: str, columns: list[str]) -> Operation:
    return {"op": "select", "table": table, "where": [[column, "==", value]], "columns": columns}


def as_map(value: dict[str, str]) -> list[Any]:
    """A map in the notation of RFC 7047, section 5.1."""
    return ["map", [[key, item] for key, item in value.items()]]


def as_set(value: Any) -> list[Any]:
    """The members of a set column: a single member stands for itself in that notation."""
    if isinstance(value, list) and len(value) == 2 and value[0] == "set":
        return list(value[1])
    return [value]


async def _call(socket_path: str, request: bytes) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(socket_path)
    try:
        writer.write(request)
        received = b""
        while chunk := await reader.read(65536):
            received += chunk
            # Replies carry no length: one is whole once it parses.
            try:
                return msgspec.json.decode(received, type=dict[str, Any])
            except msgspec.DecodeError:
                continue
        raise ConnectionResetError("connection closed before the reply")
    finally:
        writer.close()
