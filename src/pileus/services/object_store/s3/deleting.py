"""Many objects, deleted at once."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from pileus.kernel.errors import ApiError
from pileus.kernel.http.reply import Reply
from pileus.services.object_store.name import Name
from pileus.services.object_store.s3 import authorize, body, checksum, log_records, place, storing, xml
from pileus.services.object_store.s3.errors import S3Error, translated
from pileus.services.object_store.s3.operations import DECIDED_LATER, not_here, operations
from pileus.services.object_store.s3.request import Request

MOST = 1000


class _Wanted(NamedTuple):
    key: str
    version_id: str | None
    etag: str | None
    """That it must have."""
    other: str
    """A condition that is none of this store's."""


_OTHERS = ("LastModifiedTime", "Size")


@operations.bucket("POST", "delete", action=DECIDED_LATER, answers=xml.media("DeleteResult"))
async def delete_objects(request: Request) -> Reply:
    """Deletes up to a thousand objects; the answer tells of each, or where it is to be quiet, of those that failed."""
    _require_digest(request)
    document = xml.read(await body.whole(request, xml.MAX_BYTES), "Delete")
    wanted = [
        _Wanted(
            each.value("Key") or "",
            each.value("VersionId"),
            each.value("ETag"),
            next((name for name in _OTHERS if each.child(name)), ""),
        )
        for each in document.children("Object")
    ]
    if not wanted or len(wanted) > MOST or any(not each.key for each in wanted):
        raise xml.malformed()
    quiet = (document.value("Quiet") or "").strip().lower() == "true"
    # Of one key, in order: its versions depend on each other.
    by_key: dict[str, list[int]] = {}
    for number, each in enumerate(wanted):
        by_key.setdefault(each.key, []).append(number)
    told: list[tuple[str, xml.Value]] = [("", None)] * len(wanted)

    async def delete_all(numbers: list[int]) -> None:
        for number in numbers:
            told[number] = await _delete(request, wanted[number])

    runs = list(by_key.values())
    for start in range(0, len(runs), storing.AT_ONCE):
        await asyncio.gather(*(delete_all(numbers) for numbers in runs[start : start + storing.AT_ONCE]))
    return xml.reply("DeleteResult", [each for each in told if not (quiet and each[0] == "Deleted")])


def _require_digest(request: Request) -> None:
    """400 where nothing says what the document is to be: half of one could be a document, too."""
    given = checksum.wanted(request.headers)
    if "content-md5" not in request.headers and (
        given is None or (given.value is None and not given.trailing)
    ):
        raise S3Error(
            "InvalidRequest",
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        )


async def _delete(request: Request, wanted: _Wanted) -> tuple[str, xml.Value]:
    name, began = Name(request.account, request.bucket, wanted.key), time.perf_counter()
    try:
        place.check_key(wanted.key)
        if wanted.other:
            raise not_here(wanted.other)
        await authorize.require(request, "s3:DeleteObject", name, wanted.version_id or None)
        await storing.take_turn(request, name)
        deleted = await storing.delete(request, name, wanted.version_id or None, wanted.etag)
    except ApiError as error:
        found = translated(error)
        _log(request, wanted, log_records.Outcome(found.status, found.kind), began)
        return "Error", [
            ("Key", wanted.key),
            ("VersionId", wanted.version_id),
            ("Code", found.kind),
            ("Message", found.message),
        ]
    marker = deleted.is_marker
    _log(request, wanted, log_records.Outcome(204, version_id=deleted.id), began)
    return "Deleted", [
        ("Key", wanted.key),
        ("VersionId", wanted.version_id),
        ("DeleteMarker", True if marker else None),
        ("DeleteMarkerVersionId", deleted.id if marker else None),
    ]


def _log(request: Request, wanted: _Wanted, outcome: log_records.Outcome, began: float) -> None:
    if log_records.is_logged(request):
        log_records.record(request, outcome, began, "BATCH.DELETE.OBJECT", key=wanted.key)
