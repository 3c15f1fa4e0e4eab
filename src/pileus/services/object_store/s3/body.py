"""The body of an upload: its bytes without the chunks' frames, checked as they come against what was signed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from hashlib import md5, sha256

from pileus.services.object_store.hashing import feed
from pileus.services.object_store.receive import GIB
from pileus.services.object_store.s3 import checksum, chunked
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.request import Request
from pileus.services.object_store.s3.signature import STREAMED, UNSIGNED


def announced(request: Request) -> int:
    """Bytes to come, without frames. 411 where the client does not say, 400 where it is too much."""
    streamed = _payload(request) in STREAMED
    text = request.headers.get("x-amz-decoded-content-length" if streamed else "content-length")
    if text is None:
        raise S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.")
    if not (text.isascii() and text.isdigit()):
        raise S3Error("InvalidArgument", f"The length {text[:40]!r} is not a number.")
    length, limit = int(text[:20]), request.state.settings.max_file_size_gib * GIB
    if length > limit:
        raise S3Error(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed object size.",
            details={"ProposedSize": text[:20], "MaxSizeAllowed": str(limit)},
        )
    return length


def wanted_md5(request: Request) -> str:
    """In hexadecimal digits, as `Content-MD5` says; empty where it does not."""
    header = request.headers.get("content-md5")
    if header is None:
        return ""
    try:
        digest = base64.b64decode(header, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 16:
        raise S3Error("InvalidDigest", "The Content-MD5 you specified was invalid.")
    return digest.hex()


def _payload(request: Request) -> str:
    if request.signed is not None:
        return request.signed.payload
    said = request.headers.get("x-amz-content-sha256", UNSIGNED)
    return said if said in STREAMED else UNSIGNED


def opened(request: Request, trailers: dict[str, str]) -> AsyncIterator[bytes]:
    """The bytes. Raises S3Error at the first that is not as signed, or at the end; `trailers` are filled by then."""
    payload, stream = _payload(request), request.call.stream()
    if payload in STREAMED:
        return chunked.decoded(stream, request, payload, trailers)
    if payload == UNSIGNED:
        return stream
    return _hashed(stream, payload)


async def _hashed(stream: AsyncIterator[bytes], wanted: str) -> AsyncIterator[bytes]:
    digest = sha256()
    async for chunk in stream:
        feed(digest, chunk)
        yield chunk
    if digest.hexdigest() != wanted:
        raise mismatch(wanted, digest.hexdigest())


def mismatch(wanted: str, found: str) -> S3Error:
    return S3Error(
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
        details={"ClientComputedContentSHA256": wanted, "S3ComputedContentSHA256": found},
    )


async def whole(request: Request, limit: int) -> bytes:
    """All of a document. 400 past `limit` bytes, and where it has another MD5 or checksum than it should."""
    chunks, size, trailers = [], 0, dict[str, str]()
    async for chunk in opened(request, trailers):
        size += len(chunk)
        if size > limit:
            raise S3Error("MaxMessageLengthExceeded", "Your request was too big.")
        chunks.append(chunk)
    found = b"".join(chunks)
    # What completes an upload has the checksum of the object in its headers, not its own.
    told = None if "uploadId" in request.call.query else checksum.wanted(request.headers)
    if told is not None:
        told.check(told.algorithm.digest(found), trailers)
    if (wanted := wanted_md5(request)) and md5(found, usedforsecurity=False).hexdigest() != wanted:
        raise bad_digest()
    return found


def bad_digest() -> S3Error:
    return S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.")
