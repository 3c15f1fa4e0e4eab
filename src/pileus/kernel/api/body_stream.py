"""A request's body as it comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pileus.kernel.http.exchange import Disconnected


class ClientGone(Exception):
    """The client closed the connection while it was sending."""


class BodyStream:
    """Chunks to iterate over once, or blocks to be filled. Raises ClientGone where the client left before the end."""

    __slots__ = ("_is_over", "_left", "_read_into", "_receive")

    def __init__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Mapping[str, Any]]],
        announced: str,
    ) -> None:
        """`announced` is the length as the client said it, if it did."""
        self._receive = receive
        self._read_into: Callable[[memoryview], Awaitable[int]] | None
        self._read_into = scope.get("extensions", {}).get("pileus.body")
        # Of a body whose length is known nothing is left to ask for when all has come.
        self._left = int(announced) if announced.isascii() and announced.isdigit() else -1
        self._is_over = False

    def __aiter__(self) -> BodyStream:
        return self

    async def __anext__(self) -> bytes:
        while not self._is_over:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientGone
            chunk: bytes = message.get("body", b"")
            self._left -= len(chunk)
            self._is_over = self._left == 0 or not message.get("more_body", False)
            if chunk:
                return chunk
        raise StopAsyncIteration

    @property
    def fills(self) -> bool:
        """Whether it can be asked to `read_into`."""
        return self._read_into is not None

    async def read_into(self, block: memoryview) -> int:
        """Fills a block without a copy on the way; fewer bytes than it has only at the body's end."""
        assert self._read_into is not None
        try:
            return await self._read_into(block)
        except Disconnected as error:
            raise ClientGone from error
