"""The name server at 169.254.169.254, for what OVN has no record of: it refuses at once.

OVN answers for the names of guests before a question gets here. Without an answer to all others a guest
would wait for seconds at each.
"""

from __future__ import annotations

import asyncio
from typing import Any

_HEADER_BYTES = 12
_RESPONSE, _REFUSED = 0x80, 5
_KEPT_FLAGS = 0x79
"""Of the flags' first byte: the kind of question, and whether recursion is wanted."""


def refusal(query: bytes) -> bytes | None:
    """The refusal of a query (RFC 1035, section 4.1), or None of what is none."""
    if len(query) < _HEADER_BYTES or query[2] & _RESPONSE or query[4:6] != b"\x00\x01":
        return None
    end = _HEADER_BYTES
    while end < len(query) and query[end]:
        end += query[end] + 1
    end += 5
    if end > len(query):
        return None
    flags = bytes((query[2] & _KEPT_FLAGS | _RESPONSE, _REFUSED))
    return query[:2] + flags + query[4:6] + bytes(6) + query[_HEADER_BYTES:end]


class Refuser(asyncio.DatagramProtocol):
    _transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        # asyncio's own annotation does not tell datagram transports from others.
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        answer = refusal(data)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)
