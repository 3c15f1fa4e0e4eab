"""What lists say of an object: its container's, and that of objects that are to expire.

An entry counts what is stored under the object's own name, so that the sum of all counts nothing twice: of a large object
the manifest, of a link to a version nothing. Where that is not the object's size, the size stands behind its etag.
"""

from __future__ import annotations

import re

import msgspec

from pileus.services.object_store import expirer, metadata, unsettled
from pileus.services.object_store.driver import Version
from pileus.services.object_store.listings import Form, Listings, ObjectEntry
from pileus.services.object_store.name import as_text

_LINK, _SIZE = "; version=", "; bytes="
_MARKED = b"; bytes="
_JSON = re.compile(rb'(?:; version=[^";]*)?; bytes=(\d+)","bytes":\d+')
_XML = re.compile(rb"(?:; version=[^<;]*)?; bytes=(\d+)</hash><bytes>\d+")


def note(listings: Listings, version: Version) -> None:
    """Tells them. Raises msgspec.DecodeError where the metadata are sealed."""
    account, container, name = version.path.split("/", 2)
    if version.deleted:
        entry = ObjectEntry(name, version.timestamp, version.changed, 0, None, "")
        listings.note(account, container, entry)
        unsettled.heard(listings, version, {})
        return
    kept = metadata.decode(version.metadata)
    unsettled.heard(listings, version, kept.system)
    size, etag = metadata.size(kept, version.size_bytes), kept.system.get(metadata.LISTED_ETAG, kept.etag)
    if (link := kept.system.get(metadata.LINK)) is not None:
        etag += f"{_LINK}{link}{_SIZE}{size}"
    elif size != version.size_bytes:
        etag += f"{_SIZE}{size}"
    kind = as_text(kept.content_type)
    entry = ObjectEntry(name, version.timestamp, version.changed, version.size_bytes, etag, kind)
    listings.note(account, container, entry)
    if (task := expirer.task(version, kept)) is not None:
        listings.note(expirer.ACCOUNT, expirer.CONTAINER, task)


def shown(body: bytes, form: Form) -> bytes:
    """A list as it came, with the sizes of objects."""
    if form == "plain" or _MARKED not in body:
        return body
    if form == "json":
        return _JSON.sub(rb'","bytes":\1', body)
    return _XML.sub(rb"</hash><bytes>\1", body)


class Row(msgspec.Struct):
    """An object in a JSON list as it came; `link` is the id of the version that it stands for."""

    name: str
    hash: str
    bytes: int
    last_modified: str
    content_type: str
    link: str | None = None


_decode = msgspec.json.Decoder(list[Row]).decode


def rows(body: bytes) -> list[Row]:
    found = _decode(body)
    for row in found:
        etag, marked, size = row.hash.rpartition(_SIZE)
        if marked and size.isdigit():
            etag, linked, link = etag.rpartition(_LINK) if _LINK in etag else (etag, "", "")
            row.hash, row.bytes, row.link = etag, int(size), link if linked else None
    return found
