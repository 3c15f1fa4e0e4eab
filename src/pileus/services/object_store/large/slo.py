"""Static large objects: a manifest names segments with size and etag (Object Storage API, "Static large objects")."""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable
from hashlib import md5
from typing import Any

import msgspec

from pileus.kernel.errors import ApiError, BadRequest, TooLarge
from pileus.services.object_store import metadata, symlinks
from pileus.services.object_store.large.segments import Segment
from pileus.services.object_store.name import Name
from pileus.services.object_store.state import ObjectStoreState

MAX_SEGMENTS = 1000
MAX_MANIFEST_BYTES = 8 * 1024 * 1024
MAX_SIZE_BYTES = 2**62
"""Manifests of manifests grow fast."""
_RANGE = re.compile(r"^(\d*)-(\d*)$")


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """A segment as a client names it."""

    path: str | None = None
    data: str | None = None
    """Base64: the segment stands in the manifest itself."""
    etag: str | None = None
    size_bytes: int | str | None = None
    range: str | None = None


class Stored(msgspec.Struct, omit_defaults=True):
    """A segment as the manifest keeps it, under the names that `multipart-manifest=get` shows."""

    name: str = ""
    hash: str = ""
    bytes: int = 0
    content_type: str = ""
    last_modified: str = ""
    range: str | None = None
    sub_slo: bool = False
    data: str | None = None


class Manifest(msgspec.Struct):
    segments: list[Stored]
    etag: str
    size_bytes: int

    def encode(self) -> bytes:
        return msgspec.json.encode(self.segments)


class Problems(BadRequest):
    """Segments that do not fit, each as it was named, with what is wrong."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("Errors:\n" + "\n".join(f"{path}, {why}" for path, why in problems))
        self.problems = problems


Permit = Callable[[Name], Awaitable[Any]]
"""Raises where the caller may not read what is named."""


def wanted_segments(body: bytes) -> list[Wanted]:
    """What a client's list asks for. 400 where it is none, 413 where it is too long."""
    if len(body) > MAX_MANIFEST_BYTES:
        raise TooLarge(f"Manifest must be at most {MAX_MANIFEST_BYTES} bytes")
    try:
        wanted = msgspec.json.decode(body, type=list[Wanted])
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"Manifest must be valid JSON: {error}") from error
    if not any(each.data is None for each in wanted):
        raise BadRequest("Manifest must have at least one segment that is an object")
    if len(wanted) > MAX_SEGMENTS:
        raise TooLarge(f"Number of segments must be <= {MAX_SEGMENTS}")
    return wanted


async def build(state: ObjectStoreState, own: Name, wanted: list[Wanted], permit: Permit) -> Manifest:
    """Each segment is looked at. 400 that names every segment that does not fit."""
    found: list[Stored] = []
    problems: list[tuple[str, str]] = []
    digest = md5(usedforsecurity=False)
    for each in wanted:
        try:
            stored = _given(each.data) if each.data is not None else await _look(state, own, each, permit)
        except (ValueError, ApiError) as error:
            why = f"{error.status} {error.title}" if isinstance(error, ApiError) else str(error)
            problems.append((each.path or "data", why))
            continue
        found.append(stored)
        if stored.data is not None:
            digest.update(md5(base64.b64decode(stored.data), usedforsecurity=False).hexdigest().encode())
        else:
            digest.update(f"{stored.hash}:{stored.range};".encode() if stored.range else stored.hash.encode())
    if problems:
        raise Problems(problems)
    size = sum(_part(each)[1] for each in found)
    if size > MAX_SIZE_BYTES:
        raise BadRequest("The segments are too large together.")
    return Manifest(found, digest.hexdigest(), size)


def _given(data: str) -> Stored:
    try:
        raw = base64.b64decode(data, validate=True)
    except ValueError:
        raise ValueError("data must be valid base64") from None
    if not raw:
        raise ValueError("Too Small; each segment must be at least 1 byte")
    return Stored(data=base64.b64encode(raw).decode())


async def _look(state: ObjectStoreState, own: Name, wanted: Wanted, permit: Permit) -> Stored:
    path = wanted.path or ""
    container, slash, name = path.lstrip("/").partition("/")
    if not (container and slash and name) or "\0" in path or not _is_text(path):
        raise ValueError("Invalid path")
    segment = Name(own.account, container, name)
    if segment == own:
        raise ValueError("409 Conflict: a manifest can't be its own segment")
    await permit(segment)
    at, version = await symlinks.follow(state, segment, await state.find(segment), permit)
    if version is None:
        raise ValueError("404 Not Found")
    if at == own:
        raise ValueError("409 Conflict: a manifest can't be its own segment")
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
    if stored.data is not None:
        return 0, len(base64.b64decode(stored.data))
    if stored.range is None:
        return 0, stored.bytes
    first, _, last = stored.range.partition("-")
    return int(first), int(last) - int(first) + 1


def segments(account: str, body: bytes) -> list[Segment]:
    """From a stored manifest."""
    found = []
    for each in msgspec.json.decode(body, type=list[Stored]):
        container, _, name = each.name.lstrip("/").partition("/")
        data = None if each.data is None else base64.b64decode(each.data)
        found.append(Segment(Name(account, container, name), each.hash, *_part(each), data))
    return found


def part_lengths(body: bytes) -> list[int]:
    """Of a stored manifest, the bytes of each segment that are used, in order."""
    return [_part(each)[1] for each in msgspec.json.decode(body, type=list[Stored])]


def nested(account: str, body: bytes) -> list[Name]:
    """Segments of a stored manifest that are manifests themselves."""
    return [
        Name(account, *each.name.lstrip("/").split("/", 1))
        for each in msgspec.json.decode(body, type=list[Stored])
        if each.sub_slo
    ]


def given(body: bytes) -> list[Wanted]:
    """What would have to be asked for, to have a stored manifest again."""
    return msgspec.json.decode(as_given(body), type=list[Wanted])


def as_given(body: bytes) -> bytes:
    """A stored manifest in the form in which it can be put again."""
    shown: list[dict[str, Any]] = []
    for each in msgspec.json.decode(body, type=list[Stored]):
        if each.data is not None:
            shown.append({"data": each.data})
            continue
        entry: dict[str, Any] = {"path": each.name, "etag": each.hash, "size_bytes": each.bytes}
        if each.range is not None:
            entry["range"] = each.range
        shown.append(entry)
    return msgspec.json.encode(shown)
