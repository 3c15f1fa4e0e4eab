"""Unpack a tarball of a root filesystem into a directory: `unpack.py TARBALL DIRECTORY MAX_BYTES`.

A process of its own, which shuts itself into the directory (chroot) before it reads the first member:
whatever names, symbolic links and hard links a tarball holds, nothing outside can be reached. Owners (as
numbers), modes, times, file capabilities and users' extended attributes are kept. Device nodes are left out:
the container gets its `/dev` from the runtime. A refusal goes to stderr, with exit status 1. Only the
standard library, so that it starts quickly.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tarfile
from typing import IO

_DECOMPRESSORS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_MAX_ID = 65535
_XATTR = "SCHILY.xattr."
_KEPT_XATTRS = ("security.capability", "user.")


class Refused(Exception):
    """The tarball cannot become a root filesystem; the message says why."""


def unpack(tarball: str, directory: str, max_bytes: int) -> None:
    # Unbuffered: a decompressor reads on from the very place that was read to here.
    with open(tarball, "rb", buffering=0) as file:
        decompressor = _decompressor(file)
        # Found now: there is no encoding to import any more once the root has changed.
        tarfile.TarInfo.frombuf(tarfile.TarInfo("x").tobuf(), "utf-8", "surrogateescape")
        os.chroot(directory)
        os.chdir("/")
        os.umask(0o022)
        source: IO[bytes] = file
        if decompressor is not None:
            assert decompressor.stdout is not None
            source = decompressor.stdout
        _extract(source, max_bytes)
        if decompressor is not None and decompressor.wait() != 0:
            raise Refused(f"{decompressor.args!r} failed: the tarball is damaged")


def _decompressor(file: IO[bytes]) -> subprocess.Popen[bytes] | None:
    magic = file.read(4)
    file.seek(0)
    for start, program in _DECOMPRESSORS.items():
        if magic.startswith(start):
            return subprocess.Popen([program, "-dcq"], stdin=file, stdout=subprocess.PIPE)
    return None


def _extract(source: IO[bytes], max_bytes: int) -> None:
    total = 0
    directories: list[tarfile.TarInfo] = []
    with tarfile.open(fileobj=source, mode="r|", bufsize=1 << 20) as archive:
        # Later versions refuse what they find odd, such as absolute links: harmless under the chroot.
        archive.extraction_filter = lambda member, _: member
        for member in archive:
            if member.isdev() and not member.isfifo():
                continue
            _check(member)
            total += member.size if member.isreg() else 0
            if total > max_bytes:
                raise Refused(f"it unpacks to more than the {max_bytes >> 20} MiB this host has to spare")
            _place(archive, member)
            if member.isdir():
                directories.append(member)
    for member in reversed(directories):
        # Now that nothing more is put into them.
        os.utime(_path(member.name), (member.mtime, member.mtime))


def _check(member: tarfile.TarInfo) -> None:
    if ".." in member.name.split("/"):
        raise Refused(f"its member {member.name!r} points outside of the root filesystem")
    if not (0 <= member.uid <= _MAX_ID and 0 <= member.gid <= _MAX_ID):
        raise Refused(
            f"its member {member.name!r} belongs to {member.uid}:{member.gid}; "
            f"a container has ids 0 to {_MAX_ID}"
        )


def _place(archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    path = _path(member.name)
    if path == "/":
        os.chown(path, member.uid, member.gid)
        os.chmod(path, member.mode & 0o7777)
        return
    if os.path.lexists(path) and not (member.isdir() and os.path.isdir(path)):
        os.unlink(path)
    if member.islnk():
        # Here and not by tarfile, which would give the file what this second header says of owner and mode.
        os.link(_path(member.linkname), path, follow_symlinks=False)
        return
    member.name = path
    archive.extract(member, "/", numeric_owner=True)
    if member.isreg() or member.isdir():
        for header, value in member.pax_headers.items():
            name = header.removeprefix(_XATTR)
            if header.startswith(_XATTR) and name.startswith(_KEPT_XATTRS):
                with contextlib.suppress(OSError):
                    os.setxattr(path, name, value.encode("utf-8", "surrogateescape"), follow_symlinks=False)


def _path(name: str) -> str:
    return os.path.normpath("/" + name.lstrip("/"))


if __name__ == "__main__":
    try:
        unpack(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    except (Refused, tarfile.TarError, OSError, EOFError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)
