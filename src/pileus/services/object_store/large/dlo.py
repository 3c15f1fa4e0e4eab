"""Dynamic large objects: all that a container has under a prefix, in order of names, as it is when it is read."""

from __future__ import annotations

from hashlib import md5
from typing import Any

import msgspec

from pileus.kernel.errors import BadRequest
from pileus.services.object_store import metadata
from pileus.services.object_store.large.segments import Segment
from pileus.services.object_store.listings import Ask
from pileus.services.object_store.name import Name, from_header
from pileus.services.object_store.state import ObjectStoreState


def check(header: str) -> tuple[str, str]:
    """Container and prefix that `X-Object-Manifest` names. 400 where it names none, 412 where it is not UTF-8."""
    container, slash, prefix = from_header(header).lstrip("/").partition("/")
    if not (container and slash and prefix) or "?" in header or "&" in header:
        raise BadRequest("X-Object-Manifest must be in the format container/prefix")
    return container, prefix


async def segments(state: ObjectStoreState, account: str, header: str) -> tuple[list[Segment], str]:
    """The segments and the etag of all: the MD5 of theirs."""
    container, prefix = check(header)
    body = await state.list_objects(Name(account, container), Ask(prefix=prefix), "json")
    listed: list[dict[str, Any]] = msgspec.json.decode(body or b"[]")
    found = [
        Segment(Name(account, container, each["name"]), _etag(each["hash"]), 0, each["bytes"])
        for each in listed
    ]
    digest = md5("".join(each.etag for each in found).encode(), usedforsecurity=False)
    return found, digest.hexdigest()


def _etag(listed: str) -> str:
    """As reading the segment gives it; empty where the list does not tell, as of objects that S3 put together."""
    own, _, more = listed.partition(metadata.MORE)
    if more.startswith("s3_etag="):
        return more.removeprefix("s3_etag=").rpartition("-")[0]
    return "" if more or "-" in own else own
