"""One part of a static large object, by its number (Object Storage API, "Static large objects", `part-number`)."""

from __future__ import annotations

from pileus.kernel.api.call import Call
from pileus.kernel.errors import BadRequest, RangeNotSatisfiable
from pileus.services.object_store.content import Content
from pileus.services.object_store.large import slo


async def asked(call: Call, found: Content, headers: dict[str, str]) -> tuple[int, int] | None:
    """Offset and length of the part that the request names; None where it names none, or the object has no parts. The
    answer's headers say how many there are. 400 for no number, or with a range; 416 for a part that is not there."""
    text = call.arg("part-number")
    if text is None or found.manifest is None:
        return None
    if not (text.isascii() and text.isdigit() and int(text[:20])):
        raise BadRequest("Part number must be an integer greater than 0")
    if "range" in call.headers:
        raise BadRequest("Range requests are not supported with part number queries")
    lengths = slo.part_lengths(await found.manifest())
    headers["x-parts-count"] = str(len(lengths))
    number = int(text[:20])
    if number > len(lengths):
        raise RangeNotSatisfiable(
            "The requested part number is not satisfiable",
            headers={**headers, "content-range": f"bytes */{found.size_bytes}"},
        )
    offset, length = sum(lengths[: number - 1]), lengths[number - 1]
    headers["content-range"] = f"bytes {offset}-{offset + length - 1}/{found.size_bytes}"
    return offset, length
