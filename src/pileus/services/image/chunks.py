"""Streams in chunks that are worth a thread's while."""

from __future__ import annotations

from collections.abc import AsyncIterator

CHUNK_BYTES = 1024 * 1024


async def gathered(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in chunks of about a mebibyte."""
    parts: list[bytes] = []
    size = 0
    async for part in stream:
        parts.append(part)
        size += len(part)
        if size >= CHUNK_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)
