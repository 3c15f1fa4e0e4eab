"""A file's bytes into a socket by sendfile(2): they don't pass through this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pileus.kernel.http.connection import Connection

_AT_ONCE_BYTES = 16 * 1024 * 1024


class FileShort(Exception):
    """The file has fewer bytes than were to be sent."""


async def send_file(connection: Connection, file: int, offset: int, count: int) -> None:
    """Returns when the socket has taken all, or the client is gone. Raises FileShort.

    Nothing may be written to the connection meanwhile.
    """
    await connection.drained()
    if connection.is_lost:
        return
    loop = connection.loop
    # The loop watches the transport's own descriptor for what comes, and would not let another watch it.
    descriptor = os.dup(connection.transport.get_extra_info("socket").fileno())
    end = offset + count
    try:
        while offset < end and not connection.is_lost:
            # The file may have to come from a disk, which the loop does not wait for.
            sent = await _to_its_end(asyncio.to_thread(_push, descriptor, file, offset, end))
            offset += sent
            connection.sent += sent
            if offset < end and not connection.is_lost:
                loop.add_writer(descriptor, connection.resume_writing)
                try:
                    await connection.writable()
                finally:
                    loop.remove_writer(descriptor)
    except (BrokenPipeError, ConnectionResetError):
        connection.abort()
    finally:
        os.close(descriptor)


async def _to_its_end(work: Coroutine[Any, Any, int]) -> int:
    """A thread can't be cancelled, and what it works with may be closed, and be another file, only when it has ended."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _push(descriptor: int, file: int, offset: int, end: int) -> int:
    """Sends what the socket takes now, up to a bound; returns how many bytes."""
    start = offset
    end = min(end, start + _AT_ONCE_BYTES)
    with contextlib.suppress(BlockingIOError):
        while offset < end:
            sent = os.sendfile(descriptor, file, offset, end - offset)
            if not sent:
                raise FileShort(f"the file ends at {offset}")
            offset += sent
    return offset - start
