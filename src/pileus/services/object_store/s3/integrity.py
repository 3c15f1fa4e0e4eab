"""Checksums of uploads, computed as the bytes come, and shown to who asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from pileus.services.object_store.content import Content
from pileus.services.object_store.s3 import checksum, hooks
from pileus.services.object_store.s3.request import Request

KEPT = "s3-checksum"
"""Name under which it is kept with an object or a part."""
_BIG = 128 * 1024
"""Bytes of which a hash is computed beside, not on, the loop."""


async def take(upload: hooks.Upload, what: hooks.What) -> None:
    wanted = checksum.wanted(upload.request.headers)
    if wanted is not None:
        upload.body = _computed(upload, upload.body, wanted)


async def _computed(
    upload: hooks.Upload, body: AsyncIterator[bytes], wanted: checksum.Wanted
) -> AsyncIterator[bytes]:
    hasher = wanted.algorithm.new()
    slow = wanted.algorithm.model is None
    async for chunk in body:
        if slow and len(chunk) > _BIG:
            await asyncio.to_thread(hasher.update, chunk)
        else:
            hasher.update(chunk)
        yield chunk
    found = wanted.check(hasher.digest(), upload.trailers)
    upload.system[KEPT] = found.stored()
    upload.headers.update(found.headers())


async def give(request: Request, content: Content, headers: dict[str, str]) -> Content:
    kept = content.kept.system.get(KEPT)
    if kept and request.headers.get("x-amz-checksum-mode") == "ENABLED" and "range" not in request.headers:
        headers.update(checksum.load(kept).headers())
    return content


hooks.TAKING.append(take)
hooks.GIVING.append(give)
