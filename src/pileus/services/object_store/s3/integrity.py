"""Checksums of uploads, computed as the bytes come, and shown to who asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from pileus.services.object_store import metadata
from pileus.services.object_store.content import Content
from pileus.services.object_store.large import slo
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name
from pileus.services.object_store.s3 import checksum, hooks, xml
from pileus.services.object_store.s3.checksum import Algorithm, Checksum, Kind, Wanted
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.request import Request
from pileus.services.object_store.state import ObjectStoreState

KEPT = "s3-checksum"
"""Name under which it is kept with an object or a part; with an upload in parts, without a value: how it will be made."""
_BIG = 128 * 1024
"""Bytes of which a hash is computed beside, not on, the loop."""
_AT_ONCE = 100


def take(upload: hooks.Upload, what: hooks.What) -> None:
    old = upload.system.pop(KEPT, None)
    if upload.source is not None and what == "object":
        old = upload.source.kept.system.get(KEPT)
    wanted = checksum.wanted(upload.request.headers)
    if what == "upload":
        if wanted is not None:
            kind = checksum.upload_kind(upload.request.headers, wanted.algorithm)
            upload.system[KEPT] = Checksum(wanted.algorithm, "", kind).stored()
            upload.headers["x-amz-checksum-algorithm"] = wanted.algorithm.name
            upload.headers["x-amz-checksum-type"] = kind
        return
    if upload.begun is not None and (plan := planned(upload.begun)):
        algorithm = plan.algorithm
        if wanted is not None and wanted.algorithm is not algorithm:
            raise S3Error(
                "InvalidRequest",
                f"Checksum Type mismatch occurred, expected checksum Type: {algorithm.name.lower()}, "
                f"actual checksum Type: {wanted.algorithm.name.lower()}",
            )
        wanted = wanted or Wanted(algorithm, None)
    if wanted is None and old is not None:
        kept = checksum.load(old)
        if kept.kind == "FULL_OBJECT":
            _tell(upload, kept)
            return
        wanted = Wanted(kept.algorithm, None)
    if wanted is not None:
        upload.body = _computed(upload, upload.body, wanted)


async def _computed(upload: hooks.Upload, body: AsyncIterator[bytes], wanted: Wanted) -> AsyncIterator[bytes]:
    hasher = wanted.algorithm.new()
    slow = wanted.algorithm.model is None
    async for chunk in body:
        if slow and len(chunk) > _BIG:
            await asyncio.to_thread(hasher.update, chunk)
        else:
            hasher.update(chunk)
        yield chunk
    found = wanted.check(hasher.digest(), upload.trailers)
    _tell(upload, found)


def _tell(upload: hooks.Upload, found: Checksum) -> None:
    upload.system[KEPT] = found.stored()
    is_part = upload.begun is not None
    if upload.source is not None:
        upload.elements += found.elements()[: 1 if is_part else None]  # a part's has no type
    else:
        upload.headers.update(found.headers())
        if is_part:
            del upload.headers["x-amz-checksum-type"]


async def complete(completion: hooks.Completion) -> None:
    """Of the parts' checksums, the object's."""
    headers = completion.request.headers
    size = sum(each.size_bytes for each in completion.parts)
    if (said := headers.get("x-amz-mp-object-size")) is not None and said != str(size):
        raise S3Error(
            "InvalidRequest",
            f"The provided 'x-amz-mp-object-size' header does not match the {size} bytes of the parts.",
        )
    plan = planned(completion.kept)
    if plan is None:
        return
    algorithm, _, kind = plan
    if headers.get("x-amz-checksum-type", kind).upper() != kind:
        raise S3Error("BadDigest", f"The upload was begun with checksums of the type {kind}.")
    values = await _of_parts(completion, algorithm)
    sizes = [each.size_bytes for each in completion.parts]
    found = checksum.of_parts(algorithm, kind, list(zip(values, sizes, strict=True)))
    _compare(headers.get(algorithm.header), found, kind)
    completion.system[KEPT] = found.stored()
    completion.elements += found.elements()


def _compare(said: str | None, found: Checksum, kind: Kind) -> None:
    """Of a composite one, a client may leave out the number of parts."""
    possible = {found.value, found.value.partition("-")[0]} if kind == "COMPOSITE" else {found.value}
    if said is not None and said not in possible:
        raise checksum.mismatch(found.algorithm)


def planned(begun: ObjectMetadata) -> Checksum | None:
    """How the checksum of an upload in parts will be made, without a value until it is; None where there will be none."""
    kept = begun.system.get(KEPT)
    return None if kept is None else checksum.load(kept)


async def of_stored(state: ObjectStoreState, names: Sequence[Name]) -> list[Checksum | None]:
    """Of parts, as they are stored."""

    async def kept(name: Name) -> Checksum | None:
        version = await state.find(name)
        stored = None if version is None else metadata.decode(version.metadata).system.get(KEPT)
        return None if stored is None else checksum.load(stored)

    found: list[Checksum | None] = []
    for start in range(0, len(names), _AT_ONCE):
        found += await asyncio.gather(*(kept(each) for each in names[start : start + _AT_ONCE]))
    return found


async def _of_parts(completion: hooks.Completion, algorithm: Algorithm) -> list[str]:
    parts = completion.parts
    stored = await of_stored(completion.request.state, [each.name for each in parts])
    for part, kept in zip(parts, stored, strict=True):
        said = part.said.value(algorithm.element)
        if kept is None or (said is not None and said.strip() != kept.value):
            raise S3Error(
                "InvalidPart",
                "One or more of the specified parts could not be found. The part may not have been uploaded, or the "
                "specified checksum may not match the part's checksum.",
                details={"PartNumber": str(part.number)},
            )
    return [each.value for each in stored if each is not None]


def describe_given(request: Request, content: Content, headers: dict[str, str]) -> None:
    kept = content.kept.system.get(KEPT)
    if not kept or not _is_asked(request) or "range" in request.headers:
        return
    if content.manifest is None or "partNumber" not in request.call.query:
        headers.update(checksum.load(kept).headers())


def _is_asked(request: Request) -> bool:
    return request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"


async def describe_part(request: Request, content: Content, number: int, headers: dict[str, str]) -> None:
    """Of an upload in parts, the one that is given: where it was kept, and the client asks. The type is the object's
    (Amazon S3 API reference, "GetObject", `x-amz-checksum-type`)."""
    if content.manifest is None or metadata.UPLOAD not in content.kept.system or not _is_asked(request):
        return
    account = (content.name or request.name).account
    part = slo.segments(account, await content.manifest())[number - 1]
    (found,) = await of_stored(request.state, [part.name])
    if found is not None:
        headers[found.algorithm.header] = found.value
        if whole := content.kept.system.get(KEPT):
            headers["x-amz-checksum-type"] = checksum.load(whole).kind


def describe(content: Content) -> list[tuple[str, xml.Value]]:
    """As `GetObjectAttributes` tells it."""
    kept = content.kept.system.get(KEPT)
    if not kept:
        return []
    return [("Checksum", checksum.load(kept).elements())]


hooks.TAKING.insert(0, take)  # a checksum is of what the client sends, before anybody encrypts it
hooks.COMPLETING.append(complete)
hooks.DESCRIBING.append(describe_given)
hooks.CHECKSUMS.append(describe)
