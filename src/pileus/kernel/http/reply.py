"""An answer on its way out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, BinaryIO, NamedTuple

import msgspec

encode_json = msgspec.json.Encoder().encode
JSON = "application/json"


READ_BYTES = 1024 * 1024


class FileRange(NamedTuple):
    """`length` bytes of an open file from `offset`. It is closed when they are sent."""

    file: BinaryIO
    offset: int
    length: int

    async def read(self) -> AsyncIterator[bytes]:
        """For who can't have the kernel send them. Raises EOFError where the file has fewer."""
        at, end = self.offset, self.offset + self.length
        while at < end:
            chunk = await asyncio.to_thread(os.pread, self.file.fileno(), min(READ_BYTES, end - at), at)
            if not chunk:
                raise EOFError(f"{self.file.name} ends at {at}, not {end}")
            at += len(chunk)
            yield chunk


class Reply:
    """Status, headers and either bytes, a stream of them, or a part of a file.

    With a stream give `content-length` if it is known, with a file always.
    """

    __slots__ = ("body", "file", "headers", "status", "stream")

    def __init__(
        self,
        status: int = 200,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        stream: AsyncGenerator[bytes, None] | None = None,
        file: FileRange | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers if headers is not None else {}
        self.stream = stream
        self.file = file

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
        """`value` as JSON; lower-case header names throughout."""
        reply = cls(status, encode_json(value), headers)
        reply.headers["content-type"] = JSON
        return reply
