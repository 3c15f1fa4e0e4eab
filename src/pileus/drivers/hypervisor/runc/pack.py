"""Pack a container's root filesystem into a tarball on stdout: `pack.py DIRECTORY FIRST_ID`.

The other way of `unpack.py`, and a process of its own for the same reason: it shuts itself into the directory
(chroot) before it looks at the first file, so that whatever a guest puts in its way, nothing outside can be
read. Owners are told as the guest knows them. Other file systems, devices and sockets are left out. A file that
grows or shrinks while it is read has the length that it had when it was met. Only the standard library, so that it
starts quickly.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import sys
import tarfile
from collections.abc import Iterator
from typing import IO

_XATTR = "SCHILY.xattr."
_CAPABILITY = "security.capability"
_IN_NAMESPACE, _PLAIN = 0x03000000, 0x02000000
"""Revisions of file capabilities, with and without the user namespace that they hold in (linux/capability.h)."""


class _Exactly:
    """A file of exactly so many bytes, whatever is done to it meanwhile."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        return self._file.read(size).ljust(size, b"\0")


def pack(directory: str, first_id: int, target: IO[bytes]) -> None:
    tarfile.TarInfo("x").tobuf(tarfile.PAX_FORMAT)  # what it imports is found now, before the root changes
    os.chroot(directory)
    os.chdir("/")
    device = os.lstat("/").st_dev
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as archive:
        for path in _below("/", device):
            _add(archive, path, first_id)


def _below(directory: str, device: int) -> Iterator[str]:
    """All there is on this file system, directories before what is in them; what others are mounted on is empty."""
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return  # gone meanwhile
    for name in names:
        path = os.path.join(directory, name)
        yield path
        with contextlib.suppress(FileNotFoundError):
            found = os.lstat(path)
            if stat.S_ISDIR(found.st_mode) and found.st_dev == device:
                yield from _below(path, device)


def _add(archive: tarfile.TarFile, path: str, first_id: int) -> None:
    try:
        member = archive.gettarinfo(path, arcname=path.lstrip("/"))
    except FileNotFoundError:
        return
    if member is None or member.ischr() or member.isblk():
        return
    member.uid, member.gid = max(0, member.uid - first_id), max(0, member.gid - first_id)
    member.uname = member.gname = ""
    if member.isreg() or member.isdir():
        member.pax_headers = dict(_attributes(path))
    if not member.isreg():
        archive.addfile(member)
        return
    try:
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW))  # noqa: SIM115 - below
    except FileNotFoundError:
        return
    with file:
        archive.addfile(member, _Exactly(file))  # type: ignore[arg-type]  # all that is asked of it is `read`


def _attributes(path: str) -> Iterator[tuple[str, str]]:
    for name in os.listxattr(path, follow_symlinks=False):
        if name == _CAPABILITY or name.startswith("user."):
            value = os.getxattr(path, name, follow_symlinks=False)
            if name == _CAPABILITY:
                value = _without_namespace(value)
            yield _XATTR + name, value.decode("utf-8", "surrogateescape")


def _without_namespace(value: bytes) -> bytes:
    (magic,) = struct.unpack_from("<I", value)
    if magic & 0xFF000000 != _IN_NAMESPACE:
        return value
    return struct.pack("<I", _PLAIN | magic & 0xFFFFFF) + value[4:20]


if __name__ == "__main__":
    try:
        pack(sys.argv[1], int(sys.argv[2]), sys.stdout.buffer)
    except (tarfile.TarError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)
