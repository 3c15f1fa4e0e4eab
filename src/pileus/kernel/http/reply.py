"""An answer on its way out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import msgspec

encode_json = msgspec.json.Encoder().encode
JSON = "application/json"


class Reply:
    """Status, headers and either bytes or a stream of them (`stream` wins; then give `content-length` if known)."""

    __slots__ = ("body", "headers", "status", "stream")

    def __init__(
        self,
        status: int = 200,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        stream: AsyncGenerator[bytes, None] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers if headers is not None else {}
        self.stream = stream

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
        """`value` as JSON; lower-case header names throughout."""
        reply = cls(status, encode_json(value), headers)
        reply.headers["content-type"] = JSON
        return reply
