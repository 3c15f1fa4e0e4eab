"""An answer on its way out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import closing
from typing import Any, NamedTuple, Protocol

import msgspec

encode_json = msgspec.json.Encoder().encode
JSON = "application/json"


READ_BYTES = 1024 * 1024


class OpenFile(Protocol):
    def fileno(self) -> int: ...

    def close(self) -> None: ...


class FileRange(NamedTuple):
    """`length` bytes of an open file from `offset`. It is closed when they are sent."""

    file: OpenFile
    offset: int
    length: int

    async def read(self) -> AsyncGenerator[bytes, None]:
        """For who can't have the kernel send them; closes the file. Raises EOFError where it has fewer."""
        at, end = self.offset, self.offset + self.length
        with closing(self.file):
            while at < end:
                chunk = await asyncio.to_thread(os.pread, self.file.fileno(), min(READ_BYTES, end - at), at)
                if not chunk:
                    raise EOFError(f"the file ends at {at}, not {end}")
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
