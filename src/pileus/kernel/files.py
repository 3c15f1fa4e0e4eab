"""Small files that are always whole."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Who reads it finds the old content or the new, after a power failure too."""
    part = path.with_name(f".{path.name}.new")
    _write(part, content, mode)
    part.replace(path)


def write_once(path: Path, content: bytes, mode: int = 0o600) -> None:
    """As `write_whole`, but what is there already stays: of several processes that begin at once, all go on with
    what the first wrote."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    _write(part, content, mode)
    try:
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink()


def _write(path: Path, content: bytes, mode: int) -> None:
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
