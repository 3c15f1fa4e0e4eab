"""How a replica gives ranges of its rows to shards, and what it forgets in time."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from pileus.drivers.object.listing import merge, schema
from pileus.drivers.object.listing.member import Range
from pileus.drivers.object.listing.replica import ROWS, Replica, entry_of
from pileus.drivers.object.listing.schema import Head
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.listings import ObjectEntry


def split_points(replica: Replica, rows: int, after: str) -> str | None:
    """The name that ends the next so many own rows; None where there are not so many and half as many again."""
    connection = replica.database.connection
    found = connection.execute(
        "SELECT name FROM object WHERE name > ? ORDER BY name LIMIT 1 OFFSET ?", (after, rows - 1)
    ).fetchone()
    if found is None:
        return None
    rest = connection.execute(
        "SELECT 1 FROM object WHERE name > ? ORDER BY name LIMIT 1 OFFSET ?", (found[0], rows // 2)
    ).fetchone()
    return found[0] if rest else None


def rows_of(replica: Replica, part: Range, table: str, after: str, limit: int) -> list[ObjectEntry]:
    """Rows of a range, from `object` or `tombstone`, in order of names."""
    upper = " AND name <= ?" if part.upper else ""
    values = [max(part.lower, after), *([part.upper] if part.upper else []), limit]
    found = replica.database.connection.execute(
        f"SELECT {ROWS[table]} FROM {table} WHERE name > ?{upper} ORDER BY name LIMIT ?", values
    )
    return [entry_of(row) for row in found]


def changed_rows(replica: Replica, part: Range, since: int) -> tuple[list[ObjectEntry], int]:
    """Rows of a range that changed after that sequence number, and the one that this is as of."""
    connection = replica.database.connection
    head = schema.load(connection)
    if head is None:
        return [], since
    return replica.objects(_changed_names(connection, part, since)), head.sequence


def _changed_names(connection: sqlite3.Connection, part: Range, since: int) -> list[str]:
    found = connection.execute("SELECT name FROM journal WHERE sequence > ?", (since,))
    here = [(part.lower, part.upper)]
    return sorted({name for (name,) in found if merge.inside(name, here)})


def give(replica: Replica, part: Range, since: int) -> bool:
    """From now on the shard has that range, durably; False where rows of it changed after that sequence number."""
    with replica.database.writing(durable=True) as connection:
        head = schema.load(connection)
        if head is None or since < head.journal_from or _changed_names(connection, part, since):
            return False
        upper = " AND name <= ?" if part.upper else ""
        values = [part.lower, *([part.upper] if part.upper else [])]
        count, size = connection.execute(
            f"SELECT count(*), coalesce(sum(size), 0) FROM object WHERE name > ?{upper}", values
        ).fetchone()
        head.objects -= count
        head.bytes_used -= size
        intervals = _united([*schema.moved(connection), (part.lower, part.upper)])
        connection.execute("DELETE FROM moved")
        connection.executemany("INSERT INTO moved VALUES (?, ?)", intervals)
        known = [each for each in schema.ranges(connection) if each.shard == part.shard]
        merge.merge_ranges(
            connection,
            known,
            [
                each._replace(counted_at=1, objects=count, bytes_used=size)
                for each in known
                if not each.counted_at
            ],
        )
        head.moved = len(intervals)
        head.sharding = replica.sharding()
        head.counted_at += 1
        if intervals == [(head.own.lower, head.own.upper) if head.own else ("", "")]:
            _empty(connection, head)
        schema.save(connection, head)
    return True


def _united(intervals: Sequence[merge.Interval]) -> list[merge.Interval]:
    """Those that touch are one."""
    found: list[merge.Interval] = []
    for lower, upper in sorted(intervals):
        if found and (not found[-1][1] or lower <= found[-1][1]):
            last = found.pop()
            lower, upper = last[0], "" if not (last[1] and upper) else max(last[1], upper)
        found.append((lower, upper))
    return found


def _empty(connection: sqlite3.Connection, head: Head) -> None:
    """All rows are in shards: none stay here."""
    for table in ("object", "tombstone", "journal"):
        connection.execute(f"DELETE FROM {table}")
    head.objects = head.bytes_used = head.tombstones = 0
    head.journal_from = head.sequence


def shrink(replica: Replica) -> None:
    """Gives the file's free space back, where most of it is free."""
    connection = replica.database.connection
    (free,), (pages,) = (
        connection.execute(f"PRAGMA {what}").fetchone() for what in ("freelist_count", "page_count")
    )
    if free > 1000 and free > pages // 2:
        connection.execute("VACUUM")


def forget(replica: Replica, before: Timestamp) -> int:
    """Forgets deletions older than that; how many."""
    with replica.database.writing(durable=False) as connection:
        head = schema.load(connection)
        if head is None:
            return 0
        if replica.is_account:
            condition, values = "delete_at < ?", (before.units,)
        else:
            condition, values = "timestamp < ?", (before.units,)
        gone = connection.execute(f"DELETE FROM tombstone WHERE {condition}", values).rowcount
        head.tombstones -= gone
        connection.execute(
            "DELETE FROM item WHERE changed < ? AND (value = '' OR changed <= ?)",
            (before.units, head.life.delete_at.units),
        )
        if not replica.is_account:
            connection.execute("DELETE FROM range WHERE state = 'gone' AND changed < ?", (before.units,))
        schema.save(connection, head)
    return gone


def trim(replica: Replica, upto: int) -> None:
    """The journal up to that sequence number is known everywhere, or too long ago to be told row by row."""
    with replica.database.writing(durable=False) as connection:
        head = schema.load(connection)
        if head is not None and upto > head.journal_from and not head.sharding:
            connection.execute("DELETE FROM journal WHERE sequence <= ?", (upto,))
            head.journal_from = upto
            schema.save(connection, head)
