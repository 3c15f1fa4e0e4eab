"""The console log that conmon keeps, and the text in it.

Each line of the file is `TIME STREAM TAG TEXT` (the format that Kubernetes calls CRI's): the tag is `F` for a
whole line and `P` for a part that the next one goes on with.
"""

from __future__ import annotations

from pathlib import Path

from pileus.lib.console_text import last_lines


def text_of(log: bytes) -> str:
    pieces: list[str] = []
    for line in log.decode(errors="replace").split("\n"):
        fields = line.split(" ", 3)
        if len(fields) == 4:
            pieces.append(fields[3] + ("\n" if fields[2] == "F" else ""))
    return "".join(pieces)


def read(file: Path, tail_lines: int | None) -> str:
    """The log's text or its last lines; empty when nothing was ever written."""
    try:
        text = text_of(file.read_bytes())
    except FileNotFoundError:
        return ""
    return last_lines(text, tail_lines)
