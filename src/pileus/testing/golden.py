"""Golden files: what is promised, written down whole, so that a diff shows what changes for the user."""

from __future__ import annotations

import os
from difflib import unified_diff
from pathlib import Path

WRITE = "PILEUS_WRITE_GOLDEN"


def assert_golden(file: Path, text: str) -> None:
    """Holds `text` to the file's; `PILEUS_WRITE_GOLDEN=1` writes it anew instead."""
    if os.environ.get(WRITE):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert file.exists(), f"there is no {file}; write it with {WRITE}=1 and look at it"
    written = file.read_text()
    if text != written:
        changes = "\n".join(
            unified_diff(written.splitlines(), text.splitlines(), "promised", "now", n=0, lineterm="")
        )
        raise AssertionError(f"{file} says otherwise; if that is meant, {WRITE}=1 writes it anew\n{changes}")
