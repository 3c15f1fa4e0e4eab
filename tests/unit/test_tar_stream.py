"""Archives as `tarfile` writes them are read as they come; bombs and cut-off ones are refused."""

from __future__ import annotations

import io
import os
import tarfile
import zlib
from collections.abc import AsyncIterator

import pytest

from pileus.lib import tar_stream
from pileus.lib.tar_stream import ArchiveError, members

FILES = {
    "a/b": b"hello",
    "empty": b"",
    "exactly": b"x" * 512,
    "large": os.urandom(300_000),
    "long/" + "n" * 300: b"long",
    "ä/€": b"names",
}
MODES = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2"}


def archive(kind: str, form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=MODES[kind], format=form) as tar:  # type: ignore[call-overload]  # mode
        folder = tarfile.TarInfo("a")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, body in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            if form == tarfile.PAX_FORMAT:
                info.pax_headers = {"SCHILY.xattr.user.meta.color": "blau ä"}
            tar.addfile(info, io.BytesIO(body))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "a/b"
        tar.addfile(link)
    return out.getvalue()


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def read(data: bytes, kind: str, size: int = 1000) -> dict[str, bytes]:
    found = {}
    async for member in members(pieces(data, size), kind):
        if member.is_file:
            found[member.name] = b"".join([chunk async for chunk in member.chunks])
    return found


@pytest.mark.parametrize("kind", MODES)
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("size", [7, 512, 100_000])
async def test_what_tarfile_writes_is_read(kind: str, form: int, size: int) -> None:
    assert await read(archive(kind, form), kind, size) == FILES


async def test_attributes_and_what_is_not_read() -> None:
    names = []
    async for member in members(pieces(archive("tar", tarfile.PAX_FORMAT), 700), "tar"):
        names.append(member.name)
        if member.is_file:
            assert member.attributes["SCHILY.xattr.user.meta.color"] == "blau ä"
    assert names == ["a", *FILES, "link"]


@pytest.mark.parametrize("kind", MODES)
async def test_what_is_cut_off_or_no_archive_is_refused(kind: str) -> None:
    whole = archive(kind, tarfile.GNU_FORMAT)
    for wrong in (whole[: len(whole) // 2], b"no archive at all" * 100, b"\x00\x01" * 600):
        with pytest.raises(ArchiveError):
            await read(wrong, kind)


async def test_bombs_are_refused() -> None:
    header = tarfile.TarInfo("bomb")
    header.size = 10 * 2**30
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = squeeze.compress(header.tobuf(tarfile.GNU_FORMAT))
    zeros = bytes(2**20)

    async def endless() -> AsyncIterator[bytes]:
        yield start
        for _ in range(2000):
            yield squeeze.compress(zeros)

    async def swallow() -> None:
        async for member in members(endless(), "tar.gz"):
            async for chunk in member.chunks:
                got.append(len(chunk))

    got: list[int] = []
    with pytest.raises(ArchiveError, match="1000 times"):
        await swallow()
    assert sum(got) < 2 * tar_stream.FREE_BYTES
    header.type = b"x"
    with pytest.raises(ArchiveError, match="longer than"):
        await read(header.tobuf(tarfile.GNU_FORMAT) + bytes(2000), "tar")
