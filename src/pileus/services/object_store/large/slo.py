"""Static large objects: a manifest names segments with size and etag (Object Storage API, "Static large objects")."""

from __future__ import annotations

import re
from hashlib import md5
from typing import Any

import msgspec

from pileus.kernel.errors import BadRequest, TooLarge
from pileus.services.object_store import metadata
from pileus.services.object_store.large.segments import Segment
from pileus.services.object_store.name import Name
from pileus.services.object_store.state import ObjectStoreState

MAX_SEGMENTS = 1000
MAX_MANIFEST_BYTES = 8 * 1024 * 1024
_RANGE = re.compile(r"^(\d*)-(\d*)$")


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """A segment as a client names it."""

    path: str
    etag: str | None = None
    size_bytes: int | str | None = None
    range: str | None = None


class Stored(msgspec.Struct, omit_defaults=True):
    """A segment as the manifest keeps it, under the names that `multipart-manifest=get` shows."""

    name: str
    hash: str
    bytes: int
    content_type: str
    last_modified: str
    range: str | None = None
    sub_slo: bool = False


class Manifest(msgspec.Struct):
    segments: list[Stored]
    etag: str
    size_bytes: int

    def encode(self) -> bytes:
        return msgspec.json.encode(self.segments)


async def build(state: ObjectStoreState, account: str, body: bytes) -> Manifest:
    """From a client's list, each segment looked at. 400 that names every segment that does not fit."""
    if len(body) > MAX_MANIFEST_BYTES:
        raise TooLarge(f"Manifest must be at most {MAX_MANIFEST_BYTES} bytes")
    try:
        wanted = msgspec.json.decode(body, type=list[Wanted])
    except msgspec.DecodeError as error:
        raise BadRequest(f"Manifest must be valid JSON: {error}") from error
    if not wanted:
        raise BadRequest("Manifest must have at least one segment")
    if len(wanted) > MAX_SEGMENTS:
        raise TooLarge(f"Number of segments must be <= {MAX_SEGMENTS}")
    found, problems, digest = [], [], md5(usedforsecurity=False)
    for each in wanted:
        try:
            stored = await _look(state, account, each)
        except ValueError as error:
            problems.append(f"{each.path}, {error}")
            continue
        found.append(stored)
        digest.update(f"{stored.hash}:{stored.range};".encode() if stored.range else stored.hash.encode())
    if problems:
        raise BadRequest("Errors:\n" + "\n".join(problems))
    return Manifest(found, digest.hexdigest(), sum(_part(each)[1] for each in found))


async def _look(state: ObjectStoreState, account: str, wanted: Wanted) -> Stored:
    container, slash, name = wanted.path.lstrip("/").partition("/")
    if not (container and slash and name) or "\0" in wanted.path or not _is_text(wanted.path):
        raise ValueError("Invalid path")
    version = await state.find(Name(account, container, name))
    if version is None:
        raise ValueError("404 Not Found")
    kept = metadata.decode(version.metadata)
    size = metadata.size(kept, version.size_bytes)
    etag = kept.large_etag or kept.etag
    if wanted.size_bytes is not None and str(wanted.size_bytes) != str(size):
        raise ValueError("Size Mismatch")
    if wanted.etag and wanted.etag.strip('"') != etag:
        raise ValueError("Etag Mismatch")
    stored = Stored(
        name=f"/{container}/{name}",
        hash=etag,
        bytes=size,
        content_type=kept.content_type,
        last_modified=version.changed.iso,
        sub_slo=kept.large_etag is not None,
    )
    if wanted.range:
        stored.range = _normal_range(wanted.range, size)
    if _part(stored)[1] == 0:
        raise ValueError("Too Small; each segment must be at least 1 byte")
    return stored


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _normal_range(text: str, size: int) -> str:
    matched = _RANGE.match(text)
    if matched is None or matched.groups() == ("", "") or len(text) > 40:
        raise ValueError("Invalid Range")
    first, last = matched.groups()
    if first == "":
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    if start >= end:
        raise ValueError("Unsatisfiable Range")
    return f"{start}-{end - 1}"


def _part(stored: Stored) -> tuple[int, int]:
    """Offset and length of what is used of a segment."""
    if stored.range is None:
        return 0, stored.bytes
    first, _, last = stored.range.partition("-")
    return int(first), int(last) - int(first) + 1


def segments(account: str, body: bytes) -> list[Segment]:
    """From a stored manifest."""
    found = []
    for each in msgspec.json.decode(body, type=list[Stored]):
        container, _, name = each.name.lstrip("/").partition("/")
        found.append(Segment(Name(account, container, name), each.hash, *_part(each)))
    return found


def as_given(body: bytes) -> bytes:
    """A stored manifest in the form in which it can be put again."""
    shown: list[dict[str, Any]] = []
    for each in msgspec.json.decode(body, type=list[Stored]):
        entry: dict[str, Any] = {"path": each.name, "etag": each.hash, "size_bytes": each.bytes}
        if each.range is not None:
            entry["range"] = each.range
        shown.append(entry)
    return msgspec.json.encode(shown)
