"""One database's verbs, as `Member` has them, for whoever holds its lock."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from copy import copy

from pileus.drivers.object.listing import merge, schema
from pileus.drivers.object.listing.database import Database
from pileus.drivers.object.listing.encode import entries
from pileus.drivers.object.listing.member import (
    Batch,
    Change,
    Changed,
    Child,
    Entered,
    Guests,
    Info,
    Merged,
    Part,
    Range,
    Window,
)
from pileus.drivers.object.listing.schema import Head
from pileus.drivers.object.listing.select import OBJECTS, containers, effective, rows, whole
from pileus.drivers.object.listing.select import after as beyond
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.listings import Ask, Form, NotEmpty, ObjectEntry


class Replica:
    """`now_units`: the time as timestamps have it; `forgotten`: deletions from before that time are forgotten.
    `journal`: whether other replicas will want to know what changed."""

    def __init__(
        self, database: Database, path: str, now_units: int, *, journal: bool, forgotten: int = 0
    ) -> None:
        self.database = database
        self.path = path
        self.is_account = "/" not in path
        self._now = now_units
        self._journal = journal
        self._forgotten = forgotten

    def info(self) -> Info | None:
        head = schema.load(self.database.connection)
        return None if head is None else self._info(head)

    def _info(self, head: Head) -> Info:
        connection = self.database.connection
        ranges = [] if self.is_account else schema.ranges(connection)
        objects, size = self._totals(head, ranges)
        items = schema.items(connection)
        return Info(
            head.id,
            head.life,
            items,
            head.containers,
            objects,
            size,
            head.counted_at,
            head.sequence,
            ranges,
            head.own,
            head.policies,
        )

    def _totals(self, head: Head, ranges: Iterable[Range] | None = None) -> tuple[int, int]:
        """Objects and bytes, with those that shards told of."""
        if not head.moved:
            return head.objects, head.bytes_used
        moved = schema.moved(self.database.connection)
        shards = [each for each in self._shards(ranges) if merge.inside(each.lower + "\0", moved)]
        return (
            head.objects + sum(each.objects for each in shards),
            head.bytes_used + sum(each.bytes_used for each in shards),
        )

    def _shards(self, ranges: Iterable[Range] | None = None) -> list[Range]:
        """Those that take rows, in order."""
        found = schema.ranges(self.database.connection) if ranges is None else ranges
        return [each for each in found if each.state == "created"]

    def child(self, head: Head) -> Child:
        """What the parent should know."""
        objects, size = self._totals(head)
        name = self.path if head.own is not None else self.path.split("/", 1)[1]
        life = head.life
        return Child(
            name, life.put_at, life.delete_at, head.counted_at, objects, size, life.policy, self._guests(head)
        )

    def _guests(self, head: Head) -> Guests | None:
        if head.own is None or not head.own.joined:
            return None
        upto = head.own.joined
        found = self.database.connection.execute(
            "SELECT count(*), coalesce(sum(size), 0) FROM object WHERE name <= ?", (upto,)
        )
        return Guests(upto, *found.fetchone())

    def _entered(self, head: Head, moved: Sequence[str]) -> Entered:
        child = Child("", *head.life[:2], 0, 0, 0) if self.is_account else self.child(head)
        return Entered(child, head.own, moved)

    def change(self, change: Change, *, make: bool, empty: bool) -> Changed | None:
        with self.database.writing(durable=True) as connection:
            head = schema.load(connection)
            if head is None:
                if not make:
                    return None
                head = self._new()
            if empty and (head.containers or self._totals(head)[0]):
                raise NotEmpty
            existed = head.life.exists(0 if self.is_account else self._totals(head)[0])
            if change.delete_at is not None:
                head.life = head.life._replace(delete_at=max(head.life.delete_at, change.delete_at))
            if change.put_at is not None:
                head.life = merge.put(head.life, change.put_at, change.policy)
            self._learn(connection, head, change)
            schema.save(connection, head)
            info = self._info(head)
            return Changed(info.exists and not existed, info)

    def _new(self) -> Head:
        return Head(id=uuid.uuid4().hex, path=self.path)

    def _learn(self, connection: sqlite3.Connection, head: Head, news: Change | Batch) -> None:
        merge.merge_items(connection, news.items)
        if news.ranges and merge.merge_ranges(connection, schema.ranges(connection), news.ranges):
            self._counted(head)
            if not self.journaling(head):
                connection.execute("DELETE FROM journal")
                head.journal_from = head.sequence
            head.sharding = self.sharding()
            (head.ranges,) = connection.execute("SELECT count(*) FROM range").fetchone()
        if news.own is not None and (
            head.own is None or (news.own.changed, news.own) > (head.own.changed, head.own)
        ):
            head.own = news.own
            self._counted(head)

    def sharding(self) -> bool:
        """Whether a shard has not got its rows yet."""
        moved = schema.moved(self.database.connection)
        return any(not merge.inside(each.lower + "\0", moved) for each in self._shards())

    def journaling(self, head: Head) -> bool:
        return self._journal or head.sharding

    def _counted(self, head: Head) -> None:
        head.counted_at = max(head.counted_at + 1, self._now)

    def _changed(self, connection: sqlite3.Connection, head: Head, names: Sequence[str]) -> None:
        """Rows of these names changed."""
        if not names:
            return
        self._counted(head)
        if self.journaling(head):
            connection.executemany("INSERT INTO journal VALUES (?, ?)", enumerate(names, head.sequence + 1))
        head.sequence += len(names)
        if not self.journaling(head):
            head.journal_from = head.sequence

    def enter(self, objects: Sequence[ObjectEntry]) -> Entered | None:
        with self.database.writing(durable=False) as connection:
            head = schema.load(connection)
            if head is None:
                return None
            taken, moved = self._sorted(connection, head, objects)
            changed = merge.merge_objects(connection, head, taken, self._forgotten)
            self._changed(connection, head, changed)
            if changed:
                schema.save(connection, head)
        return self._entered(head, moved)

    def _sorted(
        self, connection: sqlite3.Connection, head: Head, objects: Sequence[ObjectEntry]
    ) -> tuple[Sequence[ObjectEntry], Sequence[str]]:
        """What belongs here, and names of what belongs elsewhere."""
        if not head.moved and head.own is None:
            return objects, ()
        moved = schema.moved(connection) if head.moved else []
        own = [("", "")] if head.own is None else [(head.own.lower, head.own.upper)]
        elsewhere = {
            each.name
            for each in objects
            if merge.inside(each.name, moved) or not merge.inside(each.name, own)
        }
        if not elsewhere:
            return objects, ()
        return [each for each in objects if each.name not in elsewhere], sorted(elsewhere)

    def report(self, children: Sequence[Child], *, durable: bool) -> Entered | None:
        with self.database.writing(durable=durable) as connection:
            head = schema.load(connection)
            if head is None:
                return None
            if self.is_account:
                changed = merge.merge_children(connection, head, children, self._forgotten)
                self._changed(connection, head, changed)
                news = bool(changed)
            else:
                known = {each.shard: each for each in schema.ranges(connection)}
                told = [_counting(known[each.name], each) for each in children if each.name in known]
                news = merge.merge_ranges(connection, known.values(), told)
                if news:
                    self._counted(head)
            if news:
                schema.save(connection, head)
        unknown = () if self.is_account else [each.name for each in children if each.name not in known]
        return self._entered(head, unknown)

    def reported(self, child: Child) -> None:
        """The parent knows that much."""
        with self.database.writing(durable=False) as connection:
            head = schema.load(connection)
            if head is not None:
                head.reported_at = max(head.reported_at, child.counted_at)
                head.reported_life = head.reported_life._replace(
                    put_at=child.put_at, delete_at=child.delete_at
                )
                schema.save(connection, head)

    def part(self, ask: Ask, form: Form, window: Window) -> Part | None:
        connection = self.database.connection
        head = schema.load(connection)
        if head is None or not (self.is_account or head.life.exists(self._totals(head)[0])):
            return None
        more = None
        if head.moved:
            window, more = self._up_to_shard(ask, window)
            if more is not None and window == NOTHING:
                return Part(b"", 0, "", more)
        table = containers(ask.policies) if self.is_account else OBJECTS
        if not ask.delimiter and ask.path is None:
            return Part(*whole(connection, table, ask, form, window), more)
        found = list(rows(connection, table, ask, window))
        last = found[-1][0] if found else ""
        return Part(entries(table, found, form), len(found), str(last), more)

    def _up_to_shard(self, ask: Ask, window: Window) -> tuple[Window, Range | None]:
        """Where the list's own rows end, and which shard comes then; no window of its own where a shard is first."""
        moved = schema.moved(self.database.connection)
        prefix = effective(ask).prefix
        low = max(ask.end_marker if ask.reverse else ask.marker, window.lower)
        highs = [ask.marker if ask.reverse else ask.end_marker, window.upper, beyond(prefix)]
        high = min(filter(None, highs), default="")
        first = max(prefix, low + "\0") if prefix else low + "\0"
        for lower, upper in reversed(moved) if ask.reverse else moved:
            if (upper and upper < first) or (high and lower >= high):
                continue
            if ask.reverse:
                reached = not upper or (high and high <= upper)
                mine = NOTHING if reached else window._replace(lower=max(window.lower, upper))
                at = min(filter(None, (high, upper)), default="")
                shards = [
                    each
                    for each in self._shards()
                    if (not at or each.lower < at) and (not each.upper or (at and at <= each.upper))
                ]
            else:
                mine = (
                    NOTHING
                    if lower < first
                    else window._replace(upper=min(filter(None, (window.upper, lower))))
                )
                at = max(lower + "\0", first)
                shards = [
                    each
                    for each in self._shards()
                    if each.lower < at and (not each.upper or at <= each.upper)
                ]
            if shards:
                return mine, max(shards, key=lambda each: (each.changed, each.shard))
        return window, None

    def merge(self, batch: Batch, *, make: bool) -> Merged | None:
        with self.database.writing(durable=False) as connection:
            head = schema.load(connection)
            if head is None:
                if not make:
                    return None
                head = self._new()
                schema.save(connection, head)
            before = copy(head)
            head.life = merge.join_lives(head.life, batch.life)
            head.counted_at = max(head.counted_at, batch.counted_at)
            self._learn(connection, head, Change(items=batch.items, ranges=batch.ranges, own=batch.own))
            moved: Sequence[str] = ()
            if self.is_account:
                changed = merge.merge_children(connection, head, batch.children, self._forgotten)
            else:
                taken, moved = self._sorted(connection, head, batch.objects)
                changed = merge.merge_objects(connection, head, taken, self._forgotten)
            self._changed(connection, head, changed)
            if head != before:
                schema.save(connection, head)
            known = self._known(connection, head, batch)
            if batch.upto > known:
                known = batch.upto
                connection.execute("INSERT OR REPLACE INTO point VALUES (?, ?)", (batch.id, known))
        return Merged(known, moved)

    def _known(self, connection: sqlite3.Connection, head: Head, batch: Batch) -> int:
        """Up to where the sender's changes have come, from itself or by way of the file that its own began as."""
        points = dict(connection.execute("SELECT id, sequence FROM point"))
        if batch.id == head.id:
            return batch.upto
        known: int = points.get(batch.id, 0)
        if batch.base is not None:
            origin, sequence = batch.base
            if origin == head.id or points.get(origin, 0) >= sequence:
                known = max(known, sequence)
        return known

    def batch(self, since: int, limit: int) -> Batch | None:
        """What changed after that sequence number, up to so many rows; all rows where `since` is negative."""
        connection = self.database.connection
        head = schema.load(connection)
        if head is None:
            return None
        upto = since
        objects: list[ObjectEntry] = []
        children: list[Child] = []
        if since < 0:
            names = None
            upto = head.sequence
        else:
            found = connection.execute(
                "SELECT sequence, name FROM journal WHERE sequence > ? ORDER BY sequence LIMIT ?",
                (since, limit),
            ).fetchall()
            names = sorted({name for _, name in found})
            upto = found[-1][0] if found else max(since, head.sequence)
        if self.is_account:
            children = self._children(names)
        else:
            objects = self.objects(names)
        ranges = [] if self.is_account else schema.ranges(connection)
        items = schema.items(connection)
        return Batch(
            head.id, head.life, items, ranges, head.own, head.counted_at, objects, children, upto, head.base
        )

    def _children(self, names: Sequence[str] | None) -> list[Child]:
        found = []
        for table in ("container", "tombstone"):
            if names is None:
                found += self.database.connection.execute(f"SELECT * FROM {table}").fetchall()
                continue
            for name in names:
                found += self.database.connection.execute(f"SELECT * FROM {table} WHERE name = ?", (name,))
        return [merge.child_of(row) for row in found]

    def objects(self, names: Sequence[str] | None) -> list[ObjectEntry]:
        """Rows of these names, deletions included; all that were not given to shards where `names` is None."""
        connection = self.database.connection
        found = []
        for table, columns in ROWS.items():
            if names is None:
                found += connection.execute(f"SELECT {columns} FROM {table}").fetchall()
                continue
            for name in names:
                found += connection.execute(f"SELECT {columns} FROM {table} WHERE name = ?", (name,))
        return self.not_moved([entry_of(row) for row in found])

    def not_moved(self, found: list[ObjectEntry]) -> list[ObjectEntry]:
        """Those that were not given to shards."""
        moved = schema.moved(self.database.connection)
        return [each for each in found if not merge.inside(each.name, moved)] if moved else found


def _counting(part: Range, child: Child) -> Range:
    """A range with what its shard tells; rows that another range of the root has still are counted there."""
    objects, size = child.objects, child.bytes_used
    if child.guests is not None and part.lower >= child.guests.upto:
        objects, size = objects - child.guests.objects, size - child.guests.bytes_used
    return part._replace(counted_at=child.counted_at, objects=objects, bytes_used=size)


ROWS = {
    "object": "name, timestamp, timestamp_offset, changed, changed_offset, size, etag, content_type",
    "tombstone": "name, timestamp, timestamp_offset, changed, changed_offset, 0, NULL, ''",
}
NOTHING = Window("\0", "\0")
"""No name is in it."""
_Row = tuple[str, int, int, int, int, int, str | None, str]


def entry_of(row: _Row) -> ObjectEntry:
    name, timestamp, offset, changed, changed_offset, size, etag, content_type = row
    return ObjectEntry(
        name, Timestamp(timestamp, offset), Timestamp(changed, changed_offset), size, etag, content_type
    )
