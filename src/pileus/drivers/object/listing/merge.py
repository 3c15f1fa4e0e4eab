"""Merging: of each part the later counts, and where times are equal the greater, so that order and repetition don't matter."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from pileus.drivers.object.listing.member import Child, Item, Life, Range
from pileus.drivers.object.listing.schema import Head
from pileus.lib.timestamp import ZERO, Timestamp
from pileus.services.object_store.listings import ObjectEntry, Usage

_STATES = ("found", "created", "gone")
Interval = tuple[str, str]


def _birth(life: Life) -> tuple[Timestamp, bool, int, int, int]:
    """Of the latest life the earliest beginning."""
    at = life.created_at
    return life.follows, at > ZERO, -at.units, -at.offset, life.policy


def join_lives(one: Life, other: Life) -> Life:
    born = max(one, other, key=_birth)
    return born._replace(put_at=max(one.put_at, other.put_at), delete_at=max(one.delete_at, other.delete_at))


def put(life: Life, at: Timestamp, policy: int) -> Life:
    """After a PUT or POST."""
    if life.put_at > life.delete_at or at <= life.delete_at:
        return life._replace(put_at=max(life.put_at, at))
    return Life(max(life.put_at, at), life.delete_at, life.delete_at, at, policy)


def merge_items(connection: sqlite3.Connection, items: Mapping[str, Item]) -> None:
    connection.executemany(
        "INSERT INTO item VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET changed = excluded.changed, "
        "value = excluded.value WHERE (excluded.changed, excluded.value) > (item.changed, item.value)",
        [(name, item.changed.units, item.value) for name, item in items.items()],
    )


def join_ranges(one: Range, other: Range) -> Range:
    placed = max(
        one, other, key=lambda each: (each.changed, _STATES.index(each.state), each.lower, each.upper)
    )
    counted = max(one, other, key=lambda each: (each.counted_at, each.objects, each.bytes_used))
    return placed._replace(
        counted_at=counted.counted_at, objects=counted.objects, bytes_used=counted.bytes_used
    )


def merge_ranges(connection: sqlite3.Connection, known: Iterable[Range], news: Iterable[Range]) -> bool:
    """Whether anything is new."""
    by_shard = {each.shard: each for each in known}
    changed = False
    for new in news:
        old = by_shard.get(new.shard)
        joined = new if old is None else join_ranges(old, new)
        if joined != old:
            connection.execute(
                "INSERT OR REPLACE INTO range VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*joined[:4], joined.changed.units, *joined[5:]),
            )
            by_shard[new.shard] = joined
            changed = True
    return changed


def inside(name: str, intervals: Sequence[Interval]) -> bool:
    """Whether it is in one of the intervals, which are in order: after the lower bound, up to and with the upper."""
    place = bisect_left(intervals, (name,)) - 1
    return place >= 0 and (not intervals[place][1] or name <= intervals[place][1])


_Key = tuple[int, int, int, int, bool, str, int, str]


def _key(row: ObjectEntry) -> _Key:
    """Of two rows of a name, the one with the greater key counts: as with versions, a deletion before data."""
    etag = row.etag
    return (*row.timestamp, *row.changed, etag is None, etag or "", row.size_bytes, row.content_type)


def newest(rows: Iterable[ObjectEntry]) -> dict[str, ObjectEntry]:
    """One row of each name."""
    found: dict[str, ObjectEntry] = {}
    for row in rows:
        old = found.get(row.name)
        if old is None or _key(row) > _key(old):
            found[row.name] = row
    return found


def merge_objects(
    connection: sqlite3.Connection, head: Head, rows: Iterable[ObjectEntry], forgotten: int = 0
) -> list[str]:
    """Names of the rows that changed; counts are kept in `head`.

    A deletion from before `forgotten` (a timestamp's units) deletes, but is not remembered: else replicas would remind each
    other for ever of what each has forgotten.
    """
    changed = []
    alive, dead, revived, killed = [], [], [], []
    (greatest,) = connection.execute("SELECT max(name) FROM object").fetchone()
    for name, row in sorted(newest(rows).items()):
        key = _key(row)
        live = None
        if greatest is not None and name <= greatest:
            live = connection.execute(
                "SELECT timestamp, timestamp_offset, changed, changed_offset, size, etag, content_type FROM object "
                "WHERE name = ?",
                (name,),
            ).fetchone()
        buried = None
        if live is not None:
            if key <= (*live[:4], False, live[5], live[4], live[6]):
                continue
            head.objects -= 1
            head.bytes_used -= live[4]
        elif head.tombstones:
            buried = connection.execute(
                "SELECT timestamp, timestamp_offset, changed, changed_offset FROM tombstone WHERE name = ?",
                (name,),
            ).fetchone()
            if buried is not None and key <= (*buried, True, "", row.size_bytes, row.content_type):
                continue
        if row.etag is None:
            if live is not None:
                killed.append((name,))
            elif row.timestamp.units < forgotten and buried is None:
                continue
            if row.timestamp.units >= forgotten or buried is not None:
                dead.append((name, *key[:4]))
                head.tombstones += buried is None
        else:
            alive.append((name, *key[:4], row.size_bytes, row.etag, row.content_type))
            head.objects += 1
            head.bytes_used += row.size_bytes
            if buried is not None:
                revived.append((name,))
                head.tombstones -= 1
        changed.append(name)
    connection.executemany("INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?, ?, ?, ?)", alive)
    connection.executemany("INSERT OR REPLACE INTO tombstone VALUES (?, ?, ?, ?, ?)", dead)
    connection.executemany("DELETE FROM object WHERE name = ?", killed)
    connection.executemany("DELETE FROM tombstone WHERE name = ?", revived)
    return changed


def join_children(one: Child, other: Child) -> Child:
    made = max(one, other, key=lambda each: (each.put_at, each.policy))
    counted = max(one, other, key=lambda each: (each.counted_at, each.objects, each.bytes_used))
    return counted._replace(
        put_at=made.put_at, policy=made.policy, delete_at=max(one.delete_at, other.delete_at)
    )


def child_of(row: tuple[str, int, int, int, int, int, int]) -> Child:
    name, put_at, delete_at, counted_at, objects, size, policy = row
    return Child(name, Timestamp(put_at), Timestamp(delete_at), counted_at, objects, size, policy)


def merge_children(
    connection: sqlite3.Connection, head: Head, children: Iterable[Child], forgotten: int = 0
) -> list[str]:
    """Names of the containers whose rows changed; an account's totals are kept in `head`. `forgotten` as above."""
    changed = []
    for child in children:
        old = None
        for table in ("container", "tombstone"):
            row = connection.execute(f"SELECT * FROM {table} WHERE name = ?", (child.name,)).fetchone()
            if row is not None:
                old = child_of(row)
                break
        joined = child if old is None else join_children(old, child)
        long_gone = not _exists(joined) and joined.delete_at.units < forgotten
        if joined == old or (long_gone and old is None):
            continue
        changed.append(child.name)
        if old is not None:
            _count(head, old, -1)
            connection.execute(f"DELETE FROM {table} WHERE name = ?", (child.name,))
        if long_gone:
            continue
        _count(head, joined, 1)
        table = "container" if _exists(joined) else "tombstone"
        connection.execute(
            f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?)",
            (joined.name, joined.put_at.units, joined.delete_at.units, *joined[3:7]),
        )
    return changed


def _exists(child: Child) -> bool:
    return Life(child.put_at, child.delete_at).exists(child.objects)


def _count(head: Head, child: Child, sign: int) -> None:
    if not _exists(child):
        head.tombstones += sign
        return
    containers, objects, size = sign, sign * child.objects, sign * child.bytes_used
    head.containers += containers
    head.objects += objects
    head.bytes_used += size
    old = head.policies.get(child.policy, Usage(0, 0, 0))
    new = Usage(old.containers + containers, old.objects + objects, old.bytes_used + size)
    head.policies = {**head.policies, child.policy: new}
    if not new.containers:
        del head.policies[child.policy]
