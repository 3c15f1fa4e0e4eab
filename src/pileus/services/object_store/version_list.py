"""All versions of what is in a container, by name, newest first (for S3's and for Swift's lists of them)."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from pileus.services.object_store import versioning
from pileus.services.object_store.listings import Ask
from pileus.services.object_store.name import Name
from pileus.services.object_store.state import ObjectStoreState
from pileus.services.object_store.versioning import Entry


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


class _Row(msgspec.Struct):
    """What stands under an object's own name, as the container's list has it."""

    name: str
    hash: str
    bytes: int
    last_modified: str
    content_type: str


_rows = msgspec.json.Decoder(list[_Row]).decode


class Versions:
    """All of a bucket from a key on, merged from the hidden list and from what stands under the objects' own names."""

    def __init__(self, state: ObjectStoreState, container: Name, prefix: str) -> None:
        self._state = state
        self._container = container
        self._prefix = prefix
        self._rows: list[_Row] = []
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
            self._entries_from = before(versioning.escaped(end))

    def start(self, key: str) -> None:
        """At the first version of this key."""
        self._rows_from, self._entries_from = before(key), before(versioning.escaped(key))

    async def _fill(self) -> None:
        if not self._rows and not self._rows_end:
            asked = Ask(limit=1000, marker=self._rows_from, prefix=self._prefix)
            of = self._container
            listed = await self._state.listings.list_objects(of.account, of.container, asked, "json")
            self._rows = _rows(listed or b"[]")
            self._rows_end = len(self._rows) < asked.limit
            if self._rows:
                self._rows_from = self._rows[-1].name
        if not self._entries and not self._entries_end:
            prefix = versioning.escaped(self._prefix)
            self._entries = await versioning.entries(
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


def _of_key(key: str, row: _Row | None, entries: list[Entry]) -> list[Listed]:
    """`row` is what stands under the key itself: a link to one of the others, changed when that was, or `null`."""
    found = [
        Listed(
            key, each.id, False, each.is_marker, each.etag, each.size_bytes, each.changed, each.content_type
        )
        for each in entries
    ]
    if row is not None and not any(
        each.changed == row.last_modified and not each.is_marker for each in found
    ):
        found.insert(
            0,
            Listed(
                key, versioning.NULL, False, False, row.hash, row.bytes, row.last_modified, row.content_type
            ),
        )
    return [each._replace(is_latest=number == 0) for number, each in enumerate(found)]


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
