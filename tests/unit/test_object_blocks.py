"""Bodies in blocks, and how a disk takes them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.drivers.object.files import HostFiles
from pileus.services.object_store.blocks import BYTES, in_blocks


async def stream(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, BYTES + BYTES // 2), max_size=6))
async def test_all_bytes_in_their_order_and_all_blocks_full_but_the_last(sizes: list[int]) -> None:
    chunks = [bytes([number]) * size for number, size in enumerate(sizes)]
    found = [bytes(block) async for block in in_blocks(stream(chunks))]
    assert b"".join(found) == b"".join(chunks)
    assert all(len(block) == BYTES for block in found[:-1])
    assert all(found)


async def test_what_is_kept_stays_as_it_is_and_what_is_not_is_used_again() -> None:
    chunks = [bytes([number]) * BYTES for number in range(20)]
    kept = [block[: BYTES // 2] async for block in in_blocks(stream(chunks))]
    assert [block[0] for block in kept] == list(range(20))
    del kept
    places = {id(block.obj) async for block in in_blocks(stream(chunks))}
    assert len(places) <= 3


def test_a_disk_takes_whole_blocks_beside_its_cache_and_the_rest_through_it(tmp_path: Path) -> None:
    file = HostFiles(tmp_path).create("some")
    data = os.urandom(3 * BYTES + 777)

    async def write() -> None:
        offset = 0
        async for block in in_blocks(stream([data])):
            file.write(block, offset)
            # A part that lies elsewhere in memory and in the file than at a page.
            file.write(block[1:101], offset + 1)
            file.write(block[100:200], offset + 100)
            offset += len(block)

    asyncio.run(write())
    assert file.read(len(data), 0) == data
    file.close()
    assert (tmp_path / "some").read_bytes() == data
