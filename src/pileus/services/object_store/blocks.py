"""Bodies in blocks that a disk can take without a copy."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from mmap import mmap

from pileus.kernel.api.body_stream import BodyStream

BYTES = 1024 * 1024
_UNUSED = sys.getrefcount(object()) + 1
"""References that a block has of which there is no view any more: those of a call, and of the list that it is in."""


async def in_blocks(chunks: AsyncIterator[bytes]) -> AsyncIterator[memoryview]:
    """The same bytes in blocks of a mebibyte, which begin at a page of memory; the last may be shorter.

    Who gets a block may keep it for as long as it likes.
    """
    blocks: list[mmap] = []
    block, filled = unused(blocks), 0
    if isinstance(chunks, BodyStream) and chunks.fills:
        while filled := await chunks.read_into(block):
            yield block[:filled]
            block = unused(blocks)
        return
    async for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            taken = rest[: BYTES - filled]
            block[filled : filled + len(taken)] = taken
            filled, rest = filled + len(taken), rest[len(taken) :]
            if filled == BYTES:
                yield block
                block, filled = unused(blocks), 0
    if filled:
        yield block[:filled]


def unused(blocks: list[mmap]) -> memoryview:
    """One of those that nobody keeps, or a new one of a mebibyte."""
    # New memory costs more than what is done with it here, as the kernel clears it page by page: 0.6 s of CPU a GB.
    for number in range(len(blocks)):
        if sys.getrefcount(blocks[number]) == _UNUSED:
            return memoryview(blocks[number])
    blocks.append(mmap(-1, BYTES))
    return memoryview(blocks[-1])
