"""What is no virtual disk's format but the content itself: partition tables, discs, archives of files."""

from __future__ import annotations

import zlib
from typing import Final

from pileus.lib.image_format.parser import Found, Parser, Part, unpack

_SECTOR: Final = 512
_PARTITIONS_AT: Final = 446
_MEMORY_LIMIT: Final = 64 << 20
_PEEK: Final = 64 << 10
"""Compressed bytes in which the first 512 of the archive must show."""


def gpt() -> Parser:
    """UEFI specification 5.3: a protective MBR, then the header, whose sector may have 512 or 4096 bytes."""
    small = yield Part(512, 8)
    if small == b"EFI PART":
        return Found(unsafe=[])
    large = yield Part(4096, 8)
    return Found(unsafe=[]) if large == b"EFI PART" else None


def mbr() -> Parser:
    """A boot sector with a table of partitions; those of filesystems end in the same two bytes."""
    sector = yield Part(0, _SECTOR)
    if sector[510:512] != b"\x55\xaa":
        return None
    flags_and_types = [(sector[at], sector[at + 4]) for at in range(_PARTITIONS_AT, 510, 16)]
    if any(flag not in (0x00, 0x80) for flag, _ in flags_and_types) or not any(
        kind for _, kind in flags_and_types
    ):
        return None
    return Found(unsafe=[])


def iso() -> Parser:
    """ECMA-119 (ISO 9660) or ECMA-167 (UDF): volume descriptors from sector 16."""
    descriptor = yield Part(32769, 5)
    if descriptor == b"CD001":
        return Found(variant="iso9660", unsafe=[])
    return Found(variant="udf", unsafe=[]) if descriptor == b"BEA01" else None


def tar() -> Parser:
    header = yield Part(0, _SECTOR)
    return Found(unsafe=[]) if _is_tar(header) else None


def tar_gz() -> Parser:
    magic = yield Part(0, 3)
    if magic != b"\x1f\x8b\x08":
        return None
    rest = yield Part(3, _PEEK)
    try:
        peek = zlib.decompressobj(wbits=31).decompress(magic + rest, _SECTOR)
    except zlib.error:
        return None
    return Found(unsafe=[]) if _is_tar(peek) else None


def tar_xz() -> Parser:
    magic = yield Part(0, 6)
    if magic != b"\xfd7zXZ\0":
        return None
    rest = yield Part(6, _PEEK)
    import lzma

    try:
        peek = lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY_LIMIT).decompress(magic + rest, _SECTOR)
    except (lzma.LZMAError, EOFError):
        return None
    return Found(unsafe=[]) if _is_tar(peek) else None


def zst() -> Parser:
    """Zstandard (RFC 8878). What is inside only shows on unpacking."""
    magic = yield Part(0, 4)
    return Found(unsafe=[]) if magic == b"\x28\xb5\x2f\xfd" else None


def _is_tar(header: bytes) -> bool:
    """Whether this is the header of a member (POSIX pax, ustar): its checksum counts itself as spaces."""
    if len(header) < _SECTOR or header[257:262] != b"ustar":
        return False
    (stored,) = unpack("8s", header, 148)
    try:
        checksum = int(stored.strip(b"\0 "), 8)
    except ValueError:
        return False
    return checksum == sum(header[:148]) + 8 * ord(" ") + sum(header[156:])
