"""Versions of objects: whether a bucket keeps them, and lists of them."""

from __future__ import annotations

from typing import NamedTuple

from pileus.kernel.http.reply import Reply
from pileus.services.object_store import versioning
from pileus.services.object_store.listings import Ask
from pileus.services.object_store.s3 import body, hooks, xml
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.listing import Row, at_most, decode_rows, encoding, listed_date
from pileus.services.object_store.s3.operations import operations
from pileus.services.object_store.s3.request import Request, owner_of
from pileus.services.object_store.versioning import Entry


@operations.bucket("GET", "versioning", action="s3:GetBucketVersioning")
async def get_bucket_versioning(request: Request) -> Reply:
    """Whether the bucket keeps versions; nothing where it never did."""
    status = versioning.status(request.metadata)
    return xml.reply("VersioningConfiguration", [("Status", status or None)])


@operations.bucket("PUT", "versioning", action="s3:PutBucketVersioning")
async def put_bucket_versioning(request: Request) -> Reply:
    """Versions are kept from now on, or new ones no more."""
    document = xml.read(await body.whole(request, xml.MAX_BYTES), "VersioningConfiguration")
    status = (document.value("Status") or "").strip()
    if (document.value("MfaDelete") or "").strip() == "Enabled":
        raise S3Error("NotImplemented", "A deletion that needs a second factor is not implemented.")
    if status not in ("Enabled", "Suspended"):
        raise S3Error(
            "IllegalVersioningConfigurationException",
            "The versioning configuration specified in the request is invalid: Status is Enabled or Suspended.",
            status=400,
        )
    assert request.info is not None
    wanted: versioning.Status = "Enabled" if status == "Enabled" else "Suspended"
    for check in hooks.STATUS_CHECKS:
        check(request, wanted)
    await versioning.set_status(request.state, request.name, request.info, wanted)
    return Reply(200)


class Listed(NamedTuple):
    """A version in a list."""

    key: str
    id: str
    is_latest: bool
    is_marker: bool
    etag: str
    size_bytes: int
    changed: str


class _Versions:
    """All of a bucket from a key on, merged from the hidden list and from what stands under the objects' own names."""

    def __init__(self, request: Request, prefix: str) -> None:
        self._request = request
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
        self._rows = [each for each in self._rows if each.key >= end]
        self._entries = [each for each in self._entries if each.key >= end]
        if not self._rows:
            self._rows_from = before(end)
        if not self._entries:
            self._entries_from = before(versioning.escaped(end))

    def start(self, key: str) -> None:
        """At the first version of this key."""
        self._rows_from, self._entries_from = before(key), before(versioning.escaped(key))

    async def _fill(self) -> None:
        request = self._request
        if not self._rows and not self._rows_end:
            asked = Ask(limit=1000, marker=self._rows_from, prefix=self._prefix)
            listed = await request.state.listings.list_objects(request.account, request.bucket, asked, "json")
            self._rows = decode_rows(listed or b"[]")
            self._rows_end = len(self._rows) < asked.limit
            if self._rows:
                self._rows_from = self._rows[-1].key
        if not self._entries and not self._entries_end:
            prefix = versioning.escaped(self._prefix)
            self._entries = await versioning.entries(
                request.state, request.name, prefix=prefix, marker=self._entries_from
            )
            self._entries_end = len(self._entries) < 1000
            if self._entries:
                self._entries_from = self._entries[-1].name

    async def next_key(self) -> list[Listed]:
        """All versions of the next key, newest first; none at the end."""
        await self._fill()
        heads = [row.key for row in self._rows[:1]] + [entry.key for entry in self._entries[:1]]
        if not heads:
            return []
        key = min(heads)
        row = self._rows.pop(0) if self._rows and self._rows[0].key == key else None
        entries: list[Entry] = []
        while self._entries and self._entries[0].key == key:
            entries.append(self._entries.pop(0))
            await self._fill()
        return _of_key(key, row, entries)


def _of_key(key: str, row: Row | None, entries: list[Entry]) -> list[Listed]:
    """`row` is what stands under the key itself: a link to one of the others, changed when that was, or `null`."""
    found = [
        Listed(key, each.id, False, each.is_marker, each.etag, each.size_bytes, each.changed)
        for each in entries
    ]
    if row is not None and not any(
        each.changed == row.last_modified and not each.is_marker for each in found
    ):
        found.insert(0, Listed(key, versioning.NULL, False, False, row.hash, row.bytes, row.last_modified))
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


@operations.bucket("GET", "versions", action="s3:ListBucketVersions")
async def list_object_versions(request: Request) -> Reply:
    """A bucket's versions and delete markers, by key, newest first."""
    kind, encoded = encoding(request)
    limit, prefix, delimiter = at_most(request), request.arg("prefix") or "", request.arg("delimiter") or ""
    key_marker, id_marker = request.arg("key-marker") or "", request.arg("version-id-marker")
    if id_marker is not None and not key_marker:
        raise S3Error("InvalidArgument", "A version-id marker cannot be specified without a key marker.")
    found: list[tuple[str, xml.Value]] = []
    folders: list[tuple[str, xml.Value]] = []
    last: tuple[str, str | None] = ("", None)
    truncated = False
    versions = _Versions(request, prefix)
    if key_marker:
        versions.start(key_marker)
    if delimiter and key_marker.startswith(prefix) and key_marker.endswith(delimiter):
        versions.seek(key_marker)  # the page before ended with a folder
    while limit and not truncated and (listed := await versions.next_key()):
        key = listed[0].key
        if key_marker and key <= key_marker:
            if key < key_marker or id_marker is None:
                continue
            at = next((n for n, each in enumerate(listed) if each.id == id_marker), len(listed))
            listed = listed[at + 1 :]
        folder = key.find(delimiter, len(prefix)) if delimiter else -1
        if folder >= 0 and listed:
            name = key[: folder + len(delimiter)]
            if len(found) + len(folders) >= limit:
                truncated = True
                break
            folders.append(("CommonPrefixes", [("Prefix", encoded(name))]))
            last = (name, None)
            versions.seek(name)
            continue
        for each in listed:
            if len(found) + len(folders) >= limit:
                truncated = True
                break
            found.append(_shown(request, each, encoded(key)))
            last = (key, each.id)
    return xml.reply(
        "ListVersionsResult",
        [
            ("Name", request.bucket),
            ("Prefix", encoded(prefix)),
            ("KeyMarker", encoded(key_marker)),
            ("VersionIdMarker", id_marker or ""),
            ("NextKeyMarker", encoded(last[0]) if truncated else None),
            ("NextVersionIdMarker", last[1] if truncated else None),
            ("MaxKeys", limit),
            ("Delimiter", encoded(delimiter) if delimiter else None),
            ("IsTruncated", truncated),
            ("EncodingType", kind),
            *found,
            *folders,
        ],
    )


def _shown(request: Request, listed: Listed, key: str) -> tuple[str, xml.Value]:
    common: list[tuple[str, xml.Value]] = [
        ("Key", key),
        ("VersionId", listed.id),
        ("IsLatest", listed.is_latest),
        ("LastModified", listed_date(listed.changed)),
    ]
    owner: tuple[str, xml.Value] = ("Owner", owner_of(request.account))
    if listed.is_marker:
        return "DeleteMarker", [*common, owner]
    return "Version", [
        *common,
        ("ETag", f'"{listed.etag}"'),
        ("Size", listed.size_bytes),
        owner,
        ("StorageClass", "STANDARD"),
    ]
