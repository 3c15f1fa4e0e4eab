"""What is known of an object, without its bytes."""

from __future__ import annotations

from pileus.kernel.http.reply import Reply
from pileus.services.object_store.large import slo
from pileus.services.object_store.name import Name
from pileus.services.object_store.s3 import attributes, authorize, hooks, integrity, objects, xml
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.listing import MOST
from pileus.services.object_store.s3.operations import operations
from pileus.services.object_store.s3.request import Request

HEADER = "x-amz-object-attributes"
KNOWN = frozenset({"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"})


@operations.object(
    "GET", "attributes", action="s3:GetObjectAttributes", answers=xml.media("GetObjectAttributesResponse")
)
async def get_object_attributes(request: Request) -> Reply:
    """Those of an object's attributes that the client names."""
    wanted = {each.strip() for each in request.headers.get(HEADER, "").split(",") if each.strip()}
    if not wanted or not wanted <= KNOWN:
        raise S3Error("InvalidArgument", f"{HEADER} must name some of {', '.join(sorted(KNOWN))}")
    await authorize.require(request, "s3:GetObject")
    found, version_id = await objects.find(request)
    headers: dict[str, str] = {}
    found = await hooks.giving(request, found, headers)
    lengths = await objects.part_lengths(found)
    elements: list[tuple[str, xml.Value]] = []
    if "ETag" in wanted:
        elements.append(("ETag", attributes.etag(found)))
    if "Checksum" in wanted:
        elements += hooks.checksum(found)
    if "ObjectParts" in wanted and found.manifest is not None:
        names = [each.name for each in slo.segments(request.account, await found.manifest())]
        elements.append(("ObjectParts", await _parts(request, lengths, names)))
    if "StorageClass" in wanted:
        elements.append(
            ("StorageClass", found.kept.system.get(attributes.STORAGE_CLASS, attributes.STANDARD))
        )
    if "ObjectSize" in wanted:
        elements.append(("ObjectSize", found.size_bytes))
    reply = xml.reply("GetObjectAttributesResponse", elements)
    reply.headers["last-modified"] = found.changed.http
    if version_id is not None:
        reply.headers["x-amz-version-id"] = version_id
    return reply


async def _parts(request: Request, lengths: list[int], names: list[Name]) -> xml.Elements:
    marker, most = _number(request, "x-amz-part-number-marker", 0), _number(request, "x-amz-max-parts", MOST)
    limit = min(most, MOST)
    shown = list(enumerate(lengths, start=1))[marker : marker + limit]
    checksums = await integrity.of_stored(request.state, names[marker : marker + limit])
    return [
        ("PartsCount", len(lengths)),
        ("PartNumberMarker", marker),
        ("NextPartNumberMarker", shown[-1][0] if shown else marker),
        ("MaxParts", limit),
        ("IsTruncated", marker + limit < len(lengths)),
        *(
            ("Part", [*(each.elements()[:1] if each else ()), ("PartNumber", number), ("Size", size)])
            for (number, size), each in zip(shown, checksums, strict=True)
        ),
    ]


def _number(request: Request, header: str, default: int) -> int:
    text = request.headers.get(header)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise S3Error("InvalidArgument", f"{header} must be an integer")
    return int(text)
