"""Unpacking a compressed stream as it passes, in pieces of bounded size."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Any, Final

PIECE: Final = 4 * 2**20
"""Bytes of the largest piece given out at once."""
_MEMORY_LIMIT: Final = 256 * 2**20
_MAGIC: Final = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"))
_LONGEST: Final = 6


class UnpackError(Exception):
    """The stream is none that can be unpacked; the message reads on from "because"."""


class Bomb(Exception):
    """More comes out than may."""


class Unpacker:
    """Feed it chunks; after each, take pieces until there are no more.

    Takes gzip (RFC 1952), bzip2 and xz, also several of them one after the other. Raises Bomb where more than
    `max_bytes` come out.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._given = 0
        self._kind: str | None = None
        self._inner: Any = None
        self._pending = b""

    def feed(self, chunk: bytes) -> None:
        self._pending += chunk

    def take(self) -> bytes:
        """The next piece; empty when more must be fed."""
        while True:
            if self._inner is None and not self._begin():
                return b""
            if self._inner.eof:
                self._pending = self._inner.unused_data + self._pending
                self._inner = None
                if not self._pending:
                    return b""
                continue
            piece = self._step()
            self._given += len(piece)
            if self._given > self._max_bytes:
                raise Bomb(f"it unpacks to more than {self._max_bytes} bytes")
            if piece:
                return piece
            if not self._inner.eof and not self._pending:
                return b""

    def finish(self) -> None:
        """The stream has ended. Raises UnpackError where it was cut short."""
        if self._kind is None:
            raise UnpackError("it is neither gzip, bzip2 nor xz")
        if self._inner is not None and not self._inner.eof:
            raise UnpackError("it is cut short")

    def _begin(self) -> bool:
        """Whether enough is there to go on with."""
        if self._kind is None:
            if len(self._pending) < _LONGEST:
                return False
            self._kind = next((kind for magic, kind in _MAGIC if self._pending.startswith(magic)), None)
            if self._kind is None:
                raise UnpackError("it is neither gzip, bzip2 nor xz")
        elif not self._pending.strip(b"\0"):  # padding after the end
            self._pending = b""
            return False
        match self._kind:
            case "gzip":
                self._inner = _Gzip()
            case "bzip2":
                self._inner = bz2.BZ2Decompressor()
            case _:
                self._inner = lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY_LIMIT)
        return True

    def _step(self) -> bytes:
        data, self._pending = self._pending, b""
        try:
            piece: bytes = self._inner.decompress(data, PIECE)
        except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
            raise UnpackError(f"its {self._kind} data is broken: {error}") from error
        return piece


class _Gzip:
    """zlib's object with the manners of bz2's and lzma's: what was not consumed is kept inside."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self._tail = b""

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, most: int) -> bytes:
        piece = self._inner.decompress(self._tail + data, most)
        self._tail = self._inner.unconsumed_tail
        return piece
