"""What is in a SQLite file: rows by name, deletions beside them, and what the replica knows of itself."""

from __future__ import annotations

import sqlite3

import msgspec

from pileus.drivers.object.listing.member import Item, Life, Own, Range
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.listings import Usage

_BOTH = """
CREATE TABLE head (state BLOB NOT NULL);
CREATE TABLE item (name TEXT PRIMARY KEY, changed INTEGER NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE journal (sequence INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE point (id TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID;
"""
_CHILD = """
    name TEXT PRIMARY KEY, put_at INTEGER NOT NULL, delete_at INTEGER NOT NULL, counted_at INTEGER NOT NULL,
    objects INTEGER NOT NULL, bytes_used INTEGER NOT NULL, policy INTEGER NOT NULL
"""
ACCOUNT_SCHEMA = f"""{_BOTH}
CREATE TABLE container ({_CHILD}) WITHOUT ROWID;
CREATE TABLE tombstone ({_CHILD}) WITHOUT ROWID;
"""
CONTAINER_SCHEMA = f"""{_BOTH}
CREATE TABLE object (
    name TEXT PRIMARY KEY, timestamp INTEGER NOT NULL, timestamp_offset INTEGER NOT NULL,
    changed INTEGER NOT NULL, changed_offset INTEGER NOT NULL,
    size INTEGER NOT NULL, etag TEXT NOT NULL, content_type TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE tombstone (
    name TEXT PRIMARY KEY, timestamp INTEGER NOT NULL, timestamp_offset INTEGER NOT NULL,
    changed INTEGER NOT NULL, changed_offset INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE range (
    shard TEXT PRIMARY KEY, lower TEXT NOT NULL, upper TEXT NOT NULL, state TEXT NOT NULL, changed INTEGER NOT NULL,
    counted_at INTEGER NOT NULL, objects INTEGER NOT NULL, bytes_used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE moved (lower TEXT PRIMARY KEY, upper TEXT NOT NULL) WITHOUT ROWID;
"""
"""`moved`: intervals of names whose rows this replica has given to shards; not the same in all replicas."""


class Head(msgspec.Struct, kw_only=True):
    """What a replica knows of itself, but for metadata items and ranges."""

    id: str
    path: str
    life: Life = Life()
    own: Own | None = None
    containers: int = 0
    objects: int = 0
    """Own rows only: of an account's containers, or those not moved to shards."""
    bytes_used: int = 0
    policies: dict[int, Usage] = {}
    tombstones: int = 0
    counted_at: int = 0
    reported_at: int = 0
    """`counted_at` as the parent was last told."""
    reported_life: Life = Life()
    sequence: int = 0
    journal_from: int = 0
    """The journal has every change after this sequence number."""
    base: tuple[str, int] | None = None
    moved: int = 0
    """Intervals in `moved`."""
    ranges: int = 0
    """Shards found or made, those that are gone included."""
    sharding: bool = False
    """There are shards that have not got their rows yet."""


def load(connection: sqlite3.Connection) -> Head | None:
    row = connection.execute("SELECT state FROM head").fetchone()
    return None if row is None else msgspec.msgpack.decode(row[0], type=Head)


def save(connection: sqlite3.Connection, head: Head) -> None:
    state = msgspec.msgpack.encode(head)
    if connection.execute("UPDATE head SET state = ?", (state,)).rowcount == 0:
        connection.execute("INSERT INTO head VALUES (?)", (state,))


def items(connection: sqlite3.Connection) -> dict[str, Item]:
    found = connection.execute("SELECT name, changed, value FROM item")
    return {name: Item(Timestamp(changed), value) for name, changed, value in found}


def ranges(connection: sqlite3.Connection) -> list[Range]:
    found = connection.execute(
        "SELECT shard, lower, upper, state, changed, counted_at, objects, bytes_used FROM range ORDER BY lower, upper"
    )
    return [
        Range(shard, lower, upper, state, Timestamp(changed), *counts)
        for shard, lower, upper, state, changed, *counts in found
    ]


def moved(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute("SELECT lower, upper FROM moved ORDER BY lower").fetchall()
