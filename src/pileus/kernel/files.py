"""Small files that are always whole."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Who reads it finds the old content or the new, after a power failure too."""
    part = path.with_name(f".{path.name}.new")
    with open(part, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
