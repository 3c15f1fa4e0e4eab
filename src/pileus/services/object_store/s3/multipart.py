"""Objects that come in parts."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import md5
from itertools import pairwise, zip_longest
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from pileus.kernel.http.reply import Reply
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import content, hidden, turns, versioning
from pileus.services.object_store.driver import Superseded
from pileus.services.object_store.large import slo
from pileus.services.object_store.listings import folder
from pileus.services.object_store.metadata import LISTED_ETAG, UPLOAD, ObjectMetadata
from pileus.services.object_store.receive import Unprocessable, receive
from pileus.services.object_store.s3 import (
    attributes,
    body,
    bucket_lifecycle,
    copying,
    hooks,
    integrity,
    leavings,
    objects,
    storing,
    uploads,
    xml,
)
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.kept import told
from pileus.services.object_store.s3.listing import at_most, encoding, listed_date
from pileus.services.object_store.s3.operations import operations
from pileus.services.object_store.s3.request import Request, owner_of

MIN_PART_BYTES = 5 * 1024 * 1024
"""Of all parts but the last."""
_PART = ObjectMetadata(content_type="application/octet-stream", etag="", headers={})


@operations.object(
    "POST", "uploads", action="s3:PutObject", answers=xml.media("InitiateMultipartUploadResult")
)
async def create_multipart_upload(request: Request) -> Reply:
    """Begins an upload in parts."""
    kept = attributes.of_request(request.headers)
    upload = hooks.Upload(request, request.name, versioning.nothing(), 0, {})
    upload.system = kept.system
    await hooks.taking(upload, "upload")
    upload_id = await uploads.begin(request, kept)
    reply = xml.reply(
        "InitiateMultipartUploadResult",
        [("Bucket", request.bucket), ("Key", request.key), ("UploadId", upload_id)],
    )
    reply.headers.update(upload.headers)
    return reply


@operations.object("PUT", "partNumber", "uploadId", action="s3:PutObject")
async def upload_part(request: Request) -> Reply:
    """Stores a part; of one number, the last counts."""
    number, begun = objects.part_number(request.arg("partNumber") or ""), await uploads.find(request)
    length, wanted = body.announced(request), body.wanted_md5(request)
    trailers: dict[str, str] = {}
    name = uploads.part_name(request, begun.id, number)
    upload = hooks.Upload(request, name, body.opened(request, trailers), length, trailers)
    upload.md5 = wanted
    stored = await _store_part(request, begun, upload)
    return Reply(200, headers={"etag": f'"{stored.etag}"', **upload.headers})


@operations.object(
    "PUT",
    "partNumber",
    "uploadId",
    action="s3:PutObject",
    header=copying.SOURCE,
    answers=xml.media("CopyPartResult"),
)
async def upload_part_copy(request: Request) -> Reply:
    """Stores as a part what another object has, or a range of it."""
    number, begun = objects.part_number(request.arg("partNumber") or ""), await uploads.find(request)
    source = await copying.open_source(request)
    offset, length = copying.copied_range(request, source.content.size_bytes)
    name = uploads.part_name(request, begun.id, number)
    upload = hooks.Upload(request, name, source.content.read(offset, length), length, {})
    upload.source = source.content
    stored = await _store_part(request, begun, upload)
    headers = {} if source.version_id is None else {"x-amz-copy-source-version-id": source.version_id}
    return copying.answer("CopyPartResult", stored.etag, upload, headers)


async def _store_part(request: Request, begun: uploads.Begun, upload: hooks.Upload) -> ObjectMetadata:
    await storing.require_room(request, request.name, upload.length or 0)
    upload.system = {}
    upload.begun = begun.kept
    await hooks.taking(upload, "part")
    kept = msgspec.structs.replace(_PART, system=upload.system)

    async def check() -> None:
        await uploads.find(request)

    data = turns.followed(upload.body, check)
    try:
        stored = await receive(
            request.state, upload.name, request.state.now(), kept, data, upload.length, upload.md5
        )
    except Unprocessable:
        raise body.bad_digest() from None
    except Superseded as newer:
        raise storing.slower() from newer
    try:
        await uploads.find(request)
    except S3Error:
        # Of two requests with one part, the upload may have been completed with what the other had brought.
        used = await leavings.all_parts_used(request.state, leavings.Note(request.name, begun.id))
        if used is None or upload.name not in used:
            await versioning.remove(request.state, upload.name)
        raise
    return stored


class _Chosen(NamedTuple):
    number: int
    etag: str
    said: xml.Node


def _chosen(document: bytes) -> list[_Chosen]:
    """The parts that a client wants, in order."""
    found: list[_Chosen] = []
    for each in xml.read(document, "CompleteMultipartUpload").children("Part"):
        text, etag = (each.value("PartNumber") or "").strip(), each.value("ETag")
        if etag is None or not (text.isascii() and text.isdigit() and len(text) < 7):
            raise xml.malformed()
        found.append(_Chosen(int(text), etag.strip().strip('"'), each))
    if not found or len(found) > objects.MAX_PARTS:
        raise xml.malformed()
    if any(one.number >= other.number for one, other in pairwise(found)):
        raise S3Error(
            "InvalidPartOrder",
            "The list of parts was not in ascending order. Parts must be ordered by part number.",
        )
    return found


@operations.object(
    "POST", "uploadId", action="s3:PutObject", answers=xml.media("CompleteMultipartUploadResult")
)
async def complete_multipart_upload(request: Request) -> Reply:
    """Makes an object of the parts that the client names."""
    chosen = _chosen(await body.whole(request, xml.MAX_BYTES))
    state, moment, upload_id = request.state, request.state.now(), uploads.asked(request)
    async with turns.turn(state, uploads.place_of(request, upload_id), moment, is_needed=False):
        if (done := await leavings.completed(state, request.name, upload_id)) is not None:
            await leavings.leave(state, done)
            return await _done_before(request)
        begun = await uploads.find(request)
        await leavings.leave(state, leavings.Note(request.name, upload_id, moment))
        return await _complete(request, begun, chosen, moment)


async def _complete(
    request: Request, begun: uploads.Begun, chosen: list[_Chosen], moment: Timestamp
) -> Reply:
    await storing.check_conditions(request)
    there = await uploads.parts(request, begun.id)
    stored, parts, digest = [], [], md5(usedforsecurity=False)
    for place, each in enumerate(chosen):
        row = there.get(each.number)
        if row is None or row.hash != each.etag:
            raise S3Error(
                "InvalidPart",
                "One or more of the specified parts could not be found. The part may not have been uploaded, or the "
                "specified entity tag may not match the part's entity tag.",
                details={"UploadId": begun.id, "PartNumber": str(each.number), "ETag": each.etag},
            )
        if row.bytes < MIN_PART_BYTES and place < len(chosen) - 1:
            raise S3Error(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
                details={
                    "ProposedSize": str(row.bytes),
                    "MinSizeAllowed": str(MIN_PART_BYTES),
                    "PartNumber": str(each.number),
                    "ETag": each.etag,
                },
            )
        name = uploads.part_name(request, begun.id, each.number)
        digest.update(bytes.fromhex(row.hash))
        parts.append(hooks.CompletePart(each.number, name, row.hash, row.bytes, each.said))
        stored.append(
            slo.Stored(
                name=f"/{name.container}/{name.object}",
                hash=row.hash,
                bytes=row.bytes,
                content_type=_PART.content_type,
                last_modified=row.last_modified,
            )
        )
    etag = f"{digest.hexdigest()}-{len(parts)}"
    completion = hooks.Completion(request, begun.kept, parts)
    await hooks.completing(completion)
    manifest = slo.Manifest(
        stored,
        md5("".join(each.hash for each in stored).encode(), usedforsecurity=False).hexdigest(),
        sum(each.bytes for each in stored),
    )
    kept = msgspec.structs.replace(
        begun.kept,
        large_etag=manifest.etag,
        large_bytes=manifest.size_bytes,
        system={**begun.kept.system, **completion.system, LISTED_ETAG: etag, UPLOAD: begun.id},
    )
    document = manifest.encode()
    _, headers = await storing.store(
        request, request.name, kept, versioning.once(document), len(document), moment=moment
    )
    await uploads.end(request, begun.id)
    numbers = {each.number for each in chosen}
    await storing.remove_all(
        request,
        [uploads.part_name(request, begun.id, number) for number in there if number not in numbers],
    )
    return _completed(request, etag, {**headers, **completion.headers}, completion.elements)


async def _done_before(request: Request) -> Reply:
    """The answer that a client did not get: it completes again what is an object already."""
    found = await versioning.find(request.state, request.name, request.metadata, None)
    if found is None or leavings.upload_of(found) != request.arg("uploadId"):
        raise uploads.no_such_upload(uploads.asked(request))
    own = content.plain(request.state, found.at, found.version)
    made = integrity.planned(own.kept)
    elements: list[tuple[str, xml.Value]] = [] if made is None else [*made.elements()]
    return _completed(request, attributes.etag(own), told(request, found), elements)


def _completed(
    request: Request, etag: str, headers: dict[str, str], elements: list[tuple[str, xml.Value]]
) -> Reply:
    reply = xml.reply(
        "CompleteMultipartUploadResult",
        [
            ("Location", f"{request.call.root_url}/{request.bucket}/{quote(request.key)}"),
            ("Bucket", request.bucket),
            ("Key", request.key),
            ("ETag", f'"{etag}"'),
            *elements,
        ],
    )
    reply.headers.update(headers)
    return reply


@operations.object("DELETE", "uploadId", action="s3:AbortMultipartUpload", status=204)
async def abort_multipart_upload(request: Request) -> Reply:
    """Ends an upload; its parts go."""
    await uploads.abort(request, (await uploads.find(request)).id)
    return Reply(204)


@operations.object(
    "GET", "uploadId", action="s3:ListMultipartUploadParts", answers=xml.media("ListPartsResult")
)
async def list_parts(request: Request) -> Reply:
    """The parts of an upload so far."""
    begun = await uploads.find(request)
    kind, encoded = encoding(request)
    limit = at_most(request, "max-parts")
    marker = request.arg("part-number-marker") or "0"
    if not (marker.isascii() and marker.isdigit() and len(marker) < 10):
        raise S3Error(
            "InvalidArgument", "Argument part-number-marker must be an integer between 0 and 2147483647"
        )
    after = min(int(marker), 99_999)
    found = list((await uploads.parts(request, begun.id, after=after, limit=limit + 1)).items())
    truncated, found = limit > 0 and len(found) > limit, found[:limit]
    owner = owner_of(request.account)
    plan = integrity.planned(begun.kept)
    names = [uploads.part_name(request, begun.id, number) for number, _ in found] if plan else []
    checksums = await integrity.of_stored(request.state, names)
    shown: list[tuple[str, xml.Value]] = [
        (
            "Part",
            [
                ("PartNumber", number),
                ("LastModified", listed_date(row.last_modified)),
                ("ETag", f'"{row.hash}"'),
                ("Size", row.bytes),
                *(each.elements()[:1] if each is not None else ()),
            ],
        )
        for (number, row), each in zip_longest(found, checksums)
    ]
    begun_at = datetime.fromtimestamp(begun.version.timestamp.seconds, UTC)
    reply = xml.reply(
        "ListPartsResult",
        [
            ("Bucket", request.bucket),
            ("Key", encoded(request.key)),
            ("UploadId", begun.id),
            ("Initiator", owner),
            ("Owner", owner),
            ("StorageClass", begun.kept.system.get(attributes.STORAGE_CLASS, attributes.STANDARD)),
            ("PartNumberMarker", int(marker)),
            ("NextPartNumberMarker", found[-1][0] if found else int(marker)),
            ("MaxParts", limit),
            ("IsTruncated", truncated),
            ("EncodingType", kind),
            ("ChecksumAlgorithm", None if plan is None else plan.algorithm.name),
            ("ChecksumType", None if plan is None else plan.kind),
            *shown,
        ],
    )
    reply.headers.update(bucket_lifecycle.abort_headers(request.metadata, request.key, begun_at))
    return reply


@operations.bucket(
    "GET", "uploads", action="s3:ListBucketMultipartUploads", answers=xml.media("ListMultipartUploadsResult")
)
async def list_multipart_uploads(request: Request) -> Reply:
    """Uploads that have begun and are not over, by key and time."""
    kind, encoded = encoding(request)
    limit = at_most(request, "max-uploads")
    prefix, delimiter = request.arg("prefix") or "", request.arg("delimiter") or ""
    key_marker, id_marker = request.arg("key-marker") or "", request.arg("upload-id-marker") or ""
    place = ""
    if key_marker:
        # Ids are hexadecimal digits: `~` comes after all of them.
        place = hidden.entry(key_marker, id_marker or "~")
    found: list[tuple[str, xml.Value]] = []
    folders: list[tuple[str, xml.Value]] = []
    shown = folder(key_marker, prefix, delimiter)
    within = shown if shown == key_marker else ""  # the page before ended with it
    last = ("", "")
    truncated = False
    owner = owner_of(request.account)
    while limit and not truncated and (page := await uploads.listed(request, prefix=prefix, after=place)):
        for key, upload_id, moment, at in page:
            place = at
            if within and key.startswith(within):
                continue
            if len(found) + len(folders) >= limit:
                truncated = True
                break
            if shown := folder(key, prefix, delimiter):
                within = shown
                folders.append(("CommonPrefixes", [("Prefix", encoded(shown))]))
                last = (shown, "")
                continue
            last = (key, upload_id)
            found.append(
                (
                    "Upload",
                    [
                        ("Key", encoded(key)),
                        ("UploadId", upload_id),
                        ("Initiator", owner),
                        ("Owner", owner),
                        ("StorageClass", "STANDARD"),
                        ("Initiated", listed_date(moment)),
                    ],
                )
            )
    return xml.reply(
        "ListMultipartUploadsResult",
        [
            ("Bucket", request.bucket),
            ("KeyMarker", encoded(key_marker)),
            ("UploadIdMarker", id_marker),
            ("NextKeyMarker", encoded(last[0]) if truncated else None),
            ("NextUploadIdMarker", last[1] if truncated else None),
            ("Prefix", encoded(prefix)),
            ("Delimiter", encoded(delimiter) if delimiter else None),
            ("MaxUploads", limit),
            ("IsTruncated", truncated),
            ("EncodingType", kind),
            *found,
            *folders,
        ],
    )
