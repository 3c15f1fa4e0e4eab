"""A file that QEMU appends to without end, of which only the end takes room on the disk."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

KEPT_BYTES = 256 * 1024

_FALLOC_FL_KEEP_SIZE = 0x01
_FALLOC_FL_PUNCH_HOLE = 0x02
_libc = ctypes.CDLL(None, use_errno=True)


def read_end(path: Path) -> str:
    """The last `KEPT_BYTES` as text, from the start of a line on; "" if there is no file."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - KEPT_BYTES)
            file.seek(start)
            content = file.read()
    except FileNotFoundError:
        return ""
    if start:
        content = content.partition(b"\n")[2]
    return content.decode(errors="replace")


def trim(path: Path) -> None:
    """Give back the room of all but the end, once that is twice what is kept. A hole is punched: the writer
    goes on where it is and no line is lost, as one would be by copying and truncating."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        status = os.fstat(fd)
        if status.st_blocks * 512 <= 2 * KEPT_BYTES:
            return
        length = ctypes.c_int64(status.st_size - KEPT_BYTES)
        mode = _FALLOC_FL_PUNCH_HOLE | _FALLOC_FL_KEEP_SIZE
        if _libc.fallocate(fd, mode, ctypes.c_int64(0), length) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(fd)
