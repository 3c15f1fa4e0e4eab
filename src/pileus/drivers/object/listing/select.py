"""Parts of a sorted list. Without a delimiter SQLite itself builds the answer; with one, a walk skips what is folded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from pileus.drivers.object.listing.member import Window
from pileus.services.object_store.listings import Ask, Form

_LAST = "\U0010ffff"
CHUNK = 500


class Table(NamedTuple):
    """A list of names and what each form says of one."""

    name: str
    item: str
    """The XML element of one."""
    fields: tuple[tuple[str, str], ...]
    """Of XML and JSON: SQL expressions by their names, that of the entry first."""
    columns: str
    """What `rows` yields."""


def _moment(column: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%S', {column} / 100000, 'unixepoch') || printf('.%05d0', {column} % 100000)"


OBJECTS = Table(
    "object",
    "object",
    (
        ("name", "name"),
        ("hash", "etag"),
        ("bytes", "size"),
        ("content_type", "content_type"),
        ("last_modified", _moment("changed")),
    ),
    "name, etag, size, content_type, changed",
)
_CONTAINER: tuple[tuple[str, str], ...] = (
    ("name", "name"),
    ("count", "objects"),
    ("bytes", "bytes_used"),
    ("last_modified", _moment("put_at")),
)
_MARKS = tuple(bytes([0xFF - number]) for number in range(6))
"""Bytes that are in no UTF-8 text, so in no name: they stand for XML's tags until what is between them is escaped."""
NO_WINDOW = Window()


@lru_cache(maxsize=16)
def containers(policies: tuple[tuple[int, str], ...]) -> Table:
    """With the names of storage policies by index; an index without a name is told itself. Without any none are told."""
    fields, columns = _CONTAINER, "name, objects, bytes_used, put_at"
    if policies:
        quoted = ((index, name.replace("'", "''")) for index, name in policies)
        cases = " ".join(f"WHEN {index:d} THEN '{name}'" for index, name in quoted)
        fields += (("storage_policy", "storage_policy"),)
        columns += f", CASE policy {cases} ELSE CAST(policy AS TEXT) END AS storage_policy"
    return Table("container", "container", fields, columns)


class Folded(NamedTuple):
    """Names that go on after a delimiter, as one."""

    name: str


Row = tuple[object, ...]


def after(prefix: str) -> str:
    """The least name that is greater than all that begin with `prefix`; empty where there is none."""
    stripped = prefix.rstrip(_LAST)
    if not stripped:
        return ""
    code = ord(stripped[-1]) + 1
    return stripped[:-1] + chr(0xE000 if code == 0xD800 else code)


def effective(ask: Ask) -> Ask:
    """`path` in terms of prefix and delimiter."""
    if ask.path is None:
        return ask
    below = ask.path.rstrip("/") + "/" if ask.path else ""
    return ask._replace(prefix=below, delimiter="/")


def _bounds(ask: Ask, window: Window) -> tuple[str, list[str]]:
    low, high = (ask.end_marker, ask.marker) if ask.reverse else (ask.marker, ask.end_marker)
    conditions, values = [], []
    if low:
        conditions.append("name > ?")
        values.append(low)
    if high:
        conditions.append("name < ?")
        values.append(high)
    if ask.prefix:
        conditions.append("name >= ?")
        values.append(ask.prefix)
        if end := after(ask.prefix):
            conditions.append("name < ?")
            values.append(end)
    if window.lower:
        conditions.append("name > ?")
        values.append(window.lower)
    if window.upper:
        conditions.append("name <= ?")
        values.append(window.upper)
    return " AND ".join(conditions) or "1", values


def _part(
    table: Table,
    ask: Ask,
    window: Window,
    columns: str,
    limit: int,
    extra: str = "",
    more: tuple[str, ...] = (),
) -> tuple[str, list[object]]:
    where, values = _bounds(ask, window)
    order = "DESC" if ask.reverse else "ASC"
    sql = f"SELECT {columns} FROM {table.name} WHERE {where}{extra} ORDER BY name {order} LIMIT ?"
    return sql, [*values, *more, limit]


def whole(
    connection: sqlite3.Connection, table: Table, ask: Ask, form: Form, window: Window = NO_WINDOW
) -> tuple[bytes, int, str]:
    """Entries, how many, and the last one's name; where there is neither delimiter nor path."""
    sql, values = _part(table, ask, window, table.columns, ask.limit)
    values_of = ", ".join(f"'{name}', {value}" for name, value in table.fields)
    marked = "".join(f" || CAST(x'{mark.hex()}' AS TEXT) || {value}" for mark, (_, value) in _marked(table))
    entry = {
        "json": f"json_object({values_of})",
        "xml": f"name{marked} || CAST(x'{_MARKS[0].hex()}' AS TEXT)",
        "plain": "name || char(10)",
    }[form]
    between = "', '" if form == "json" else "''"
    last = f"{'min' if ask.reverse else 'max'}(name)"
    found, count, end = connection.execute(
        f"SELECT CAST(group_concat({entry}, {between}) AS BLOB), count(*), {last} FROM ({sql})", values
    ).fetchone()
    body: bytes = found or b""
    return _tagged(table, body) if form == "xml" else body, count, end or ""


def _marked(table: Table) -> list[tuple[bytes, tuple[str, str]]]:
    """What stands before each field but the first."""
    return list(zip(_MARKS[1:], table.fields[1:], strict=False))


def _tagged(table: Table, body: bytes) -> bytes:
    """In a few sweeps over all of it: much faster than entry by entry."""
    if not body:
        return b""
    for special, escaped in ((b"&", b"&amp;"), (b"<", b"&lt;"), (b">", b"&gt;")):
        body = body.replace(special, escaped)
    before = table.fields[0][0]
    for mark, (name, _) in _marked(table):
        body = body.replace(mark, f"</{before}><{name}>".encode())
        before = name
    begin, end = f"<{table.item}><{table.fields[0][0]}>".encode(), f"</{before}></{table.item}>".encode()
    return begin + body[:-1].replace(_MARKS[0], end + begin) + end


def rows(
    connection: sqlite3.Connection, table: Table, ask: Ask, window: Window = NO_WINDOW
) -> Iterator[Row | Folded]:
    """At most `ask.limit`, in order; folded names among them where there is a delimiter."""
    wanted = effective(ask)
    left = ask.limit
    if not wanted.delimiter:
        yield from connection.execute(*_part(table, wanted, window, table.columns, left))
        return
    start = len(wanted.prefix)
    extra = ""
    more: tuple[str, ...] = ()
    while left > 0:
        sql, values = _part(table, wanted, window, table.columns, min(CHUNK, left + 1), extra, more)
        found = connection.execute(sql, values).fetchall()
        for row in found:
            name: str = row[0]
            at = name.find(wanted.delimiter, start)
            end = at + len(wanted.delimiter)
            last = name
            extra, more = (" AND name < ?" if ask.reverse else " AND name > ?"), (last,)
            if ask.path is not None:
                if name == wanted.prefix:
                    continue
                if at >= 0 and len(name) > end:
                    extra, more = _beyond(name[:end], reverse=ask.reverse, but_itself=True)
                    break
                yield row
            elif at >= 0:
                folder = name[:end]
                extra, more = _beyond(folder, reverse=ask.reverse)
                if folder == ask.marker or (ask.marker.startswith(folder) and not ask.reverse):
                    break  # the page before ended with it
                yield Folded(folder)
                left -= 1
                break
            else:
                yield row
            left -= 1
            if left <= 0:
                return
        else:
            if len(found) < min(CHUNK, left + 1) or not found:
                return


def _beyond(folder: str, *, reverse: bool, but_itself: bool = False) -> tuple[str, tuple[str, ...]]:
    """A condition for what comes after all names in a folder. An object may have the folder's very name: the other way
    round it comes last of them, and is skipped with them, `but_itself`."""
    if reverse:
        return f" AND name {'<=' if but_itself else '<'} ?", (folder,)
    end = after(folder)
    return (" AND name >= ?", (end,)) if end else (" AND 0", ())
