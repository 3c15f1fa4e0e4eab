"""Every version of every object of a container, delete markers among them (Object Storage API, "Object versioning")."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator

from pileus.kernel.api.call import Call
from pileus.kernel.errors import BadRequest
from pileus.kernel.http.reply import encode_json
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.api.listing import ObjectEntry, Subdir
from pileus.services.object_store.listings import Ask, folder
from pileus.services.object_store.name import Name
from pileus.services.object_store.version_entries import NULL
from pileus.services.object_store.version_list import Listed, Versions

_OF_IDS = frozenset("0123456789.")
Entry = ObjectEntry | Subdir


async def list_versions(call: Call, name: Name, asked: Ask) -> bytes:
    """As JSON; newest first of each name, the other way round with `reverse`. 400 for a marker that is none."""
    after = call.arg("version_marker")
    if after and not asked.marker:
        raise BadRequest("version_marker param requires marker")
    if after and after != NULL:
        try:
            Timestamp.parse(after)
        except ValueError:
            raise BadRequest("invalid version_marker param") from None
    if _OF_IDS.intersection(asked.delimiter):
        raise BadRequest("invalid delimiter param")
    versions = Versions(call.runtime.state, name, asked.prefix)
    if asked.reverse:
        last: deque[Entry] = deque(maxlen=asked.limit)
        if asked.end_marker:
            versions.start(asked.end_marker)
        async for each in _until(_all(versions, asked), asked.marker, after):
            if _name(each) > asked.end_marker:
                last.append(each)
        return encode_json(list(reversed(last)) if asked.limit else [])
    if asked.marker:
        versions.start(asked.marker)
    found: list[Entry] = []
    async for each in _beyond(_all(versions, asked), asked.marker, after):
        if len(found) >= asked.limit or (asked.end_marker and _name(each) >= asked.end_marker):
            break
        found.append(each)
    return encode_json(found)


def _name(entry: Entry) -> str:
    return entry.subdir if isinstance(entry, Subdir) else entry.name


async def _all(versions: Versions, asked: Ask) -> AsyncIterator[Entry]:
    while of_name := await versions.next_key():
        key = of_name[0].key
        if folded := folder(key, asked.prefix, asked.delimiter):
            versions.seek(folded)
            yield Subdir(folded)
            continue
        for each in of_name:
            yield _shown(each)


def _shown(each: Listed) -> ObjectEntry:
    return ObjectEntry(
        name=each.key,
        hash=each.etag,
        bytes=each.size_bytes,
        content_type=each.content_type,
        last_modified=each.changed,
        version_id=each.id,
        is_latest=each.is_latest,
    )


async def _beyond(entries: AsyncIterator[Entry], marker: str, after: str | None) -> AsyncIterator[Entry]:
    """What comes after the marker: after all versions of that name, or after the one version of it."""
    of_name: list[ObjectEntry] = []
    async for each in entries:
        if _name(each) > marker:
            while of_name:
                yield of_name.pop(0)
            yield each
        elif isinstance(each, ObjectEntry) and each.name == marker and after:
            if each.version_id == after:
                of_name = []
            elif after == NULL or each.version_id == NULL or str(each.version_id) < after:
                of_name.append(each)
    for each in of_name:
        yield each


async def _until(entries: AsyncIterator[Entry], marker: str, after: str | None) -> AsyncIterator[Entry]:
    """What comes before the marker: before all versions of that name, or before the one version of it."""
    async for each in entries:
        if marker and (_name(each) > marker or (_name(each) == marker and not after)):
            return
        if _name(each) == marker and isinstance(each, ObjectEntry) and each.version_id == after:
            return
        yield each
