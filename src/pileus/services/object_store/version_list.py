"""All versions of what is in a container, by name, newest first (for S3's and for Swift's lists of them)."""

from __future__ import annotations

from typing import NamedTuple

from pileus.services.object_store import hidden, listed
from pileus.services.object_store.listed import Row
from pileus.services.object_store.listings import Ask
from pileus.services.object_store.name import Name
from pileus.services.object_store.state import ObjectStoreState
from pileus.services.object_store.version_entries import NULL, Entry, entries


class Listed(NamedTuple):
    """A version in a list."""

    key: str
    id: str
    is_latest: bool
    is_marker: bool
    etag: str
    size_bytes: int
    changed: str
    content_type: str


class Versions:
    """All of a bucket from a key on, merged from the hidden list and from what stands under the objects' own names."""

    def __init__(self, state: ObjectStoreState, container: Name, prefix: str) -> None:
        self._state = state
        self._container = container
        self._prefix = prefix
        self._rows: list[Row] = []
        self._entries: list[Entry] = []
        self._rows_from = self._entries_from = ""
        self._rows_end = self._entries_end = False

    def seek(self, beyond: str) -> None:
        """To what comes after all keys that begin so."""
        end = after(beyond)
        if not end:
            self._rows_end = self._entries_end = True
        self._rows = [each for each in self._rows if each.name >= end]
        self._entries = [each for each in self._entries if each.key >= end]
        if not self._rows:
            self._rows_from = before(end)
        if not self._entries:
            self._entries_from = before(hidden.escaped(end))

    def start(self, key: str) -> None:
        """At the first version of this key."""
        self._rows_from, self._entries_from = before(key), before(hidden.escaped(key))

    async def _fill(self) -> None:
        if not self._rows and not self._rows_end:
            asked = Ask(limit=1000, marker=self._rows_from, prefix=self._prefix)
            of = self._container
            body = await self._state.listings.list_objects(of.account, of.container, asked, "json")
            self._rows = listed.rows(body or b"[]")
            self._rows_end = len(self._rows) < asked.limit
            if self._rows:
                self._rows_from = self._rows[-1].name
        if not self._entries and not self._entries_end:
            prefix = hidden.escaped(self._prefix)
            self._entries = await entries(
                self._state, self._container, prefix=prefix, marker=self._entries_from
            )
            self._entries_end = len(self._entries) < 1000
            if self._entries:
                self._entries_from = self._entries[-1].name

    async def next_key(self) -> list[Listed]:
        """All versions of the next key, newest first; none at the end."""
        await self._fill()
        heads = [row.name for row in self._rows[:1]] + [entry.key for entry in self._entries[:1]]
        if not heads:
            return []
        key = min(heads)
        row = self._rows.pop(0) if self._rows and self._rows[0].name == key else None
        entries: list[Entry] = []
        while self._entries and self._entries[0].key == key:
            entries.append(self._entries.pop(0))
            await self._fill()
        return _of_key(key, row, entries)


def _of_key(key: str, row: Row | None, entries: list[Entry]) -> list[Listed]:
    """`row` is what stands under the key itself: a link to one of the others, or the version `null`. A link to none of
    them stands for the newest, which it is about to be a link to."""
    found: list[Listed] = []
    link = None if row is None else row.link
    if row is not None and link is None:
        found.append(Listed(key, NULL, True, False, row.hash, row.bytes, row.last_modified, row.content_type))
    is_dangling = link is not None and all(each.link != link for each in entries)
    if entries and (is_dangling or (row is None and entries[0].is_marker)):
        link = entries[0].link
    for each in entries:
        if each.id == NULL and any(one.id == NULL for one in found):
            continue  # an older one, on its way out
        found.append(
            Listed(
                key,
                each.id,
                each.link == link,
                each.is_marker,
                each.etag,
                each.size_bytes,
                each.changed,
                each.content_type,
            )
        )
    return found


def after(prefix: str) -> str:
    """The least text that is greater than all that begin so; empty where there is none."""
    stripped = prefix.rstrip("\U0010ffff")
    if not stripped:
        return ""
    code = ord(stripped[-1]) + 1
    return stripped[:-1] + chr(0xE000 if code == 0xD800 else code)


def before(text: str) -> str:
    """A marker after which the text itself comes first, as good as: nothing that is listed lies between."""
    if not text:
        return ""
    code = ord(text[-1])
    if code <= 1:
        return text[:-1]
    return text[:-1] + chr(0xD7FF if code == 0xE000 else code - 1) + "\U0010ffff" * 8
