"""Archives read as they come, in constant memory: tar, also compressed. What claims to be longer than allowed is refused.

`tarfile` reads headers into memory whatever length they claim, and blocks; so only its reader of single headers is used.
"""

from __future__ import annotations

import tarfile
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

from pileus.lib.unpack import Bomb, Unpacker, UnpackError

BLOCK = 512
MAX_HEADER_BYTES = 64 * 1024
"""Of a long name, or of the attributes of one member."""
FREE_BYTES = 64 * 1024 * 1024
MAX_BYTES = 2**50
MAX_RATIO = 1000
"""Beyond `FREE_BYTES`, what is so much larger than it was compressed is no archive but a bomb."""
KINDS = ("tar", "tar.gz", "tar.bz2")


class ArchiveError(Exception):
    """It is no such archive, or it is cut off; the message says what is wrong with it."""


async def _unpacked(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    unpacker, taken, given = Unpacker(MAX_BYTES), 0, 0
    try:
        async for chunk in body:
            taken += len(chunk)
            unpacker.feed(chunk)
            while piece := unpacker.take():
                given += len(piece)
                if given > FREE_BYTES and given > taken * MAX_RATIO:
                    raise ArchiveError(f"it is more than {MAX_RATIO} times as large as it was compressed")
                yield piece
        unpacker.finish()
    except (UnpackError, Bomb) as error:
        raise ArchiveError(str(error)) from error


class Member(NamedTuple):
    name: str
    size_bytes: int
    is_file: bool
    attributes: Mapping[str, str]
    """Of POSIX.1-2001 (pax): `SCHILY.xattr.user.…` and others."""
    chunks: AsyncIterator[bytes]
    """What is not read of it is skipped when the next member is asked for."""


class _Source:
    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._held = b""

    async def exactly(self, size: int) -> bytes:
        parts = [part async for part in self.up_to(size)]
        return b"".join(parts)

    async def up_to(self, size: int) -> AsyncIterator[bytes]:
        """So many bytes, in chunks. Raises ArchiveError where they end before."""
        while size > 0:
            if not self._held:
                try:
                    self._held = await anext(self._body)
                except StopAsyncIteration:
                    raise ArchiveError("it is cut off") from None
                continue
            part, self._held = self._held[:size], self._held[size:]
            size -= len(part)
            yield part

    async def at_end(self) -> bool:
        while not self._held:
            try:
                self._held = await anext(self._body)
            except StopAsyncIteration:
                return True
        return False

    async def drain(self) -> None:
        self._held = b""
        async for _ in self._body:
            pass


async def members(body: AsyncIterator[bytes], kind: str) -> AsyncIterator[Member]:
    """Each member of an archive of one of the `KINDS`, in order. Raises ArchiveError, also from `chunks`."""
    if kind != "tar":
        body = _unpacked(body)
    source = _Source(body)
    everywhere: dict[str, str] = {}
    own: dict[str, str] = {}
    long_name = ""
    while not await source.at_end():
        block = await source.exactly(BLOCK)
        if block.count(0) == BLOCK:
            await source.drain()
            return
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise ArchiveError(f"it has a bad header: {error}") from error
        size = int(own["size"]) if own.get("size", "").isdigit() and header.isreg() else header.size
        padding = -size % BLOCK
        if header.type in (b"x", b"g", b"L", b"K", tarfile.SOLARIS_XHDTYPE):
            if size > MAX_HEADER_BYTES:
                raise ArchiveError(f"a header in it is longer than {MAX_HEADER_BYTES} bytes")
            data = (await source.exactly(size + padding))[:size]
            if header.type == b"L":
                long_name = data.rstrip(b"\0").decode("utf-8", "surrogateescape")
            elif header.type == b"g":
                everywhere.update(_records(data))
            elif header.type != b"K":
                own = _records(data)
            continue
        attributes = {**everywhere, **own}
        chunks = source.up_to(size if header.isreg() else 0)
        name = attributes.get("path") or long_name or header.name
        yield Member(name, size, header.isreg() and not header.issparse(), attributes, chunks)
        async for _ in chunks:
            pass
        await source.exactly(padding if header.isreg() else 0)
        own, long_name = {}, ""


def _records(data: bytes) -> dict[str, str]:
    """`LENGTH NAME=VALUE` and a line feed, again and again."""
    found: dict[str, str] = {}
    while data.rstrip(b"\0"):
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or len(length) > 8 or not len(length) + 3 <= int(length) <= len(data):
            raise ArchiveError("it has a bad extended header")
        name, equals, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
        if not equals:
            raise ArchiveError("it has a bad extended header")
        found[name.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        data = data[int(length) :]
    return found
