"""A lean client of Open vSwitch databases, for one asyncio loop (RFC 7047).

`transact` is one transaction over a connection of its own: about a millisecond, where `ovs-vsctl` takes 15
to 30. `Database` keeps a connection and a copy of chosen columns that follows every change, so that what is
there is looked up in memory. The IDL of `ovs` does the same with a thread, 22 MB and 240 ms more at start.

In the copy a map column is a dict, every other column a frozenset of its values, so a column that holds
one value and one that may hold many compare alike. References are `Uuid`; `encode` turns the same values
into the notation of RFC 7047, section 5.1.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

Operation = dict[str, Any]
Rows = list[dict[str, Any]]
Value = dict[Any, Any] | frozenset[Any]
Row = dict[str, Value]
Watcher = Callable[[str, str, Row | None, Row | None], None]
"""Called with the table, the row's UUID, the row as it was and as it is; None where it was or is not."""

_RECONNECT_SECONDS = 0.1


class OvsdbError(Exception):
    """The database did not answer, or refused; the message names its socket and what it said."""


class Conflict(OvsdbError):
    """The rows are not, or no longer, what the transaction expected; look again and try again."""


_CONFLICTS = ("timed out", "duplicate uuid", "referential integrity violation")


class Uuid(str):
    """A reference to a row."""

    __slots__ = ()


async def transact(socket_path: str, *operations: Operation, timeout: float = 5.0) -> list[dict[str, Any]]:
    """Run the operations as one transaction on `Open_vSwitch`; gives their results, in order.

    Raises `OvsdbError` when the socket does not answer within `timeout` seconds or an operation fails, in
    which case none of them took place.
    """
    database = Database(socket_path, "Open_vSwitch", {})
    try:
        return await database.transact(*operations, timeout=timeout)
    finally:
        await database.close()


def select(table: str, column: str, value: str, columns: list[str]) -> Operation:
    return {"op": "select", "table": table, "where": [[column, "==", value]], "columns": columns}


def where_row(uuid: str) -> list[Any]:
    return [["_uuid", "==", ["uuid", str(uuid)]]]


def as_map(value: Mapping[str, str]) -> list[Any]:
    """A map in the notation of RFC 7047, section 5.1."""
    return ["map", [[key, item] for key, item in value.items()]]


def as_set(value: Any) -> list[Any]:
    """The members of a set column: a single member stands for itself in that notation."""
    if isinstance(value, list) and len(value) == 2 and value[0] == "set":
        return list(value[1])
    return [value]


def encode(value: Any) -> Any:
    """A value in RFC 7047's notation: dicts are maps, sets, lists and tuples are sets, `Uuid` a reference."""
    if isinstance(value, Uuid):
        return ["uuid", str(value)]
    if isinstance(value, dict):
        return ["map", [[encode(key), encode(item)] for key, item in value.items()]]
    if isinstance(value, (set, frozenset, list, tuple)):
        return ["set", [encode(item) for item in value]]
    return value


def canonical(value: Any) -> Value:
    """A value as the copy holds it."""
    if isinstance(value, dict):
        return value
    if isinstance(value, (set, frozenset, list, tuple)):
        return frozenset(value)
    return frozenset((value,))


def only(value: Value) -> Any:
    """The single member of a column, or None."""
    return next(iter(value), None)


def _decode(value: Any) -> Value:
    if isinstance(value, list):
        kind, content = value
        if kind == "map":
            return {_decode_atom(key): _decode_atom(item) for key, item in content}
        if kind == "set":
            return frozenset(map(_decode_atom, content))
    return frozenset((_decode_atom(value),))


def _decode_atom(value: Any) -> Any:
    return Uuid(value[1]) if isinstance(value, list) else value


class Database:
    """One database of a server behind a unix socket, shared by all tasks of a loop.

    The connection is made by the first use. When it breaks, what was under way fails and a new one is made
    as soon as the server is back; watchers then hear of what changed meanwhile.
    """

    def __init__(self, socket_path: str, name: str, tables: Mapping[str, Sequence[str]]) -> None:
        """`tables` names the columns to keep a copy of, by table."""
        self.rows: dict[str, dict[str, Row]] = {table: {} for table in tables}
        self._socket_path = socket_path
        self._name = name
        self._tables = tables
        self._watchers: list[Watcher] = []
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last_id = 0
        self._ready = False
        self._closed = False

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher` for every row of the copy that changes from now on."""
        self._watchers.append(watcher)

    async def open(self, patience: float = 0.0) -> None:
        """Have a connection and a whole copy; `OvsdbError` after `patience` seconds without."""
        self._closed = False
        deadline = asyncio.get_running_loop().time() + patience
        async with self._connecting:
            while not self._ready:
                try:
                    await self._connect()
                except OSError as error:
                    away = isinstance(error, (FileNotFoundError, ConnectionError))
                    if not away or asyncio.get_running_loop().time() >= deadline:
                        raise OvsdbError(
                            f"database {self._name} at {self._socket_path} does not answer: {error}"
                        ) from error
                    await asyncio.sleep(_RECONNECT_SECONDS)

    async def transact(self, *operations: Operation, timeout: float = 5.0) -> list[dict[str, Any]]:
        """Run the operations as one transaction; gives their results, in order.

        Raises `Conflict` when a `wait` operation does not hold, a row to insert is already there or one that is
        referred to is not, other `OvsdbError`s for all else; then none of the operations took place, unless the connection broke.
        By the time it returns, the copy shows what the transaction did.
        """
        if not self._ready:
            await self.open()
        results = await self._call("transact", [self._name, *operations], timeout)
        for result in results:
            if result is not None and "error" in result:
                kind, details = result["error"], result.get("details") or result["error"]
                text = f"database {self._name} at {self._socket_path} refused: {details}"
                raise Conflict(text) if kind in _CONFLICTS else OvsdbError(text)
        return [result or {} for result in results]

    async def catch_up(self, timeout: float = 5.0) -> None:
        """Have the copy show all that anyone has committed before this call."""
        await self._call("echo", [], timeout)

    async def close(self) -> None:
        self._closed = True
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        self._drop("closed")

    async def _connect(self) -> None:
        with _short_path(self._socket_path) as path:
            reader, writer = await asyncio.open_unix_connection(path)
        self._writer = writer
        self._reading = asyncio.create_task(self._read(reader))
        if not self._tables:
            self._ready = True
            return
        wanted = {table: {"columns": list(columns)} for table, columns in self._tables.items()}
        try:
            content = await self._call("monitor", [self._name, None, wanted], 30.0)
        except BaseException:
            self._drop("the copy could not be made")
            raise
        fresh = {
            table: {
                uuid: {column: _decode(value) for column, value in change["new"].items()}
                for uuid, change in content.get(table, {}).items()
            }
            for table in self._tables
        }
        for table, rows in fresh.items():
            for uuid in self.rows[table].keys() - rows.keys():
                self._put(table, uuid, None)
            for uuid, row in rows.items():
                if self.rows[table].get(uuid) != row:
                    self._put(table, uuid, row)
        self._ready = True

    async def _call(self, method: str, params: list[Any], timeout: float | None) -> Any:
        if self._writer is None:
            raise OvsdbError(f"database {self._name} at {self._socket_path} went away")
        self._last_id += 1
        call_id = self._last_id
        self._writer.write(msgspec.json.encode({"method": method, "params": params, "id": call_id}))
        answer = self._waiting[call_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError as error:
            raise OvsdbError(f"{self._socket_path} gave no answer within {timeout:g} s") from error
        finally:
            self._waiting.pop(call_id, None)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        reason = "the server closed the connection"
        received = bytearray()
        scan = json.JSONDecoder().raw_decode
        try:
            while chunk := await reader.read(1 << 18):
                received += chunk
                # Messages carry no length: try only where one may end, so that long ones are parsed once.
                if not received.endswith(b"}"):
                    continue
                text, start = received.decode(errors="replace"), 0
                try:
                    while start < len(text):
                        message, start = scan(text, start)
                        self._take(message)
                except json.JSONDecodeError:
                    received = bytearray(text[start:].encode())
                else:
                    received.clear()
        except (ConnectionError, OSError) as error:
            reason = str(error)
        finally:
            self._drop(reason)
        if self._tables and not self._closed:
            self._reading = asyncio.create_task(self._return())

    async def _return(self) -> None:
        """Reconnect, however long it takes: whoever watches the copy does not ask."""
        while not self._ready:
            with contextlib.suppress(OvsdbError):
                await self.open(60.0)

    def _take(self, message: dict[str, Any]) -> None:
        method = message.get("method")
        if method == "update":
            for table, changes in message["params"][1].items():
                for uuid, change in changes.items():
                    new = change.get("new")
                    row = None if new is None else {column: _decode(value) for column, value in new.items()}
                    self._put(table, uuid, row)
        elif method == "echo":
            if self._writer is not None:
                answer = {"result": message["params"], "error": None, "id": message["id"]}
                self._writer.write(msgspec.json.encode(answer))
        elif (waiting := self._waiting.get(message.get("id") or 0)) is not None and not waiting.done():
            if message.get("error"):
                what = f"database {self._name} at {self._socket_path} refused: {message['error']}"
                waiting.set_exception(OvsdbError(what))
            else:
                waiting.set_result(message["result"])

    def _put(self, table: str, uuid: str, row: Row | None) -> None:
        rows = self.rows[table]
        old = rows.get(uuid)
        if row is None:
            rows.pop(uuid, None)
        else:
            rows[uuid] = row
        for watcher in self._watchers:
            watcher(table, uuid, old, row)

    def _drop(self, reason: str) -> None:
        self._ready = False
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(
                    OvsdbError(f"database {self._name} at {self._socket_path} went away: {reason}")
                )


@contextlib.contextmanager
def _short_path(path: str) -> Iterator[str]:
    """A way to a socket whose path is too long for an address (108 bytes): through its open directory."""
    if len(os.fsencode(path)) < 108:
        yield path
        return
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{os.path.basename(path)}"
    finally:
        os.close(directory)
