"""Bodies in chunks of S3's own (`aws-chunked`): a head line with size and signature, the bytes, and so on.

`STREAMING-AWS4-HMAC-SHA256-PAYLOAD`: each chunk is signed, going on from the signature before it. With `-TRAILER`,
headers follow the last chunk. `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: nothing is signed (Amazon S3 API reference,
"Signature calculations: transferring a payload in multiple chunks").
"""

from __future__ import annotations

import hmac
import re
from collections.abc import AsyncIterator
from hashlib import sha256

from pileus.lib import s3_signature
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.request import Request

MAX_LINE = 4096
MAX_TRAILERS = 16
_HEAD = re.compile(rb"^([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?$")


def _incomplete() -> S3Error:
    return S3Error(
        "IncompleteBody", "The request body terminated unexpectedly, or is not in chunks as it was announced."
    )


def _wrong() -> S3Error:
    return S3Error("SignatureDoesNotMatch", "The signature of a chunk does not match what was received.")


class _Reader:
    """Lines and runs of bytes of a stream. What was read is only stepped over: a piece may have many small chunks."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream = stream
        self._piece = b""
        self._at = 0

    async def _more(self) -> bool:
        async for piece in self._stream:
            self._piece, self._at = self._piece[self._at :] + piece, 0
            return True
        return False

    async def line(self) -> bytes:
        """Without its end."""
        while (end := self._piece.find(b"\r\n", self._at)) < 0:
            if len(self._piece) - self._at > MAX_LINE or not await self._more():
                raise _incomplete()
        found, self._at = self._piece[self._at : end], end + 2
        if len(found) > MAX_LINE:
            raise _incomplete()
        return found

    async def take(self, most: int) -> bytes:
        """Some bytes, at most so many, at least one."""
        if self._at == len(self._piece) and not await self._more():
            raise _incomplete()
        found = self._piece[self._at : self._at + most]
        self._at += len(found)
        return found

    async def ended(self) -> bool:
        """Whether nothing follows."""
        return self._at == len(self._piece) and not await self._more()


async def decoded(
    stream: AsyncIterator[bytes], request: Request, payload: str, trailers: dict[str, str]
) -> AsyncIterator[bytes]:
    """The bytes of the chunks, as many as were announced. An error comes before the end of the bytes that it is about is
    told."""
    signed = request.signed if payload.startswith("STREAMING-AWS4") else None
    reader, due = _Reader(stream), _announced(request)
    previous = signed.signature if signed is not None else ""
    while True:
        head = _HEAD.match(await reader.line())
        if head is None or (signed is not None and head[2] is None):
            raise _incomplete()
        size = left = int(head[1], 16)
        if due is not None:
            if size > due or (size == 0 and due):
                raise _incomplete()
            due -= size
        digest = sha256() if signed is not None else None
        while left:
            piece = await reader.take(left)
            left -= len(piece)
            if digest is not None:
                digest.update(piece)
            yield piece
        if signed is not None and signed.key is not None and digest is not None:
            expected = s3_signature.chunk_signature(
                signed.key, signed.moment, signed.scope, previous, digest.hexdigest()
            )
            if not hmac.compare_digest(expected.encode(), head[2]):
                raise _wrong()
            previous = expected
        if size == 0:
            break
        if await reader.line():
            raise _incomplete()
    if payload.endswith("-TRAILER"):
        found = await _trailers(reader)
        if signed is not None and signed.key is not None:
            said = found.pop("x-amz-trailer-signature", "")
            text = "".join(f"{name}:{value}\n" for name, value in found.items()).encode("latin-1", "replace")
            expected = s3_signature.trailer_signature(signed.key, signed.moment, signed.scope, previous, text)
            if not hmac.compare_digest(expected.encode(), said.encode("latin-1", "replace")):
                raise _wrong()
        trailers.update(found)
    else:
        # What ends a body is an empty line; some clients leave it out.
        if not await reader.ended() and (await reader.line() or not await reader.ended()):
            raise _incomplete()


def _announced(request: Request) -> int | None:
    text = request.headers.get("x-amz-decoded-content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


async def _trailers(reader: _Reader) -> dict[str, str]:
    found: dict[str, str] = {}
    while not await reader.ended():
        line = await reader.line()
        if not line:
            if not await reader.ended():
                raise _incomplete()
            break
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or len(found) >= MAX_TRAILERS:
            raise _incomplete()
        found[name.strip().lower()] = value.strip()
    return found
