"""Cutting a guest's console text."""

from __future__ import annotations


def last_lines(text: str, count: int | None) -> str:
    """The last `count` lines of `text` with their ends, or all of it; a last line may lack its end."""
    if count is None:
        return text
    lines = text.splitlines(keepends=True)
    return "".join(lines[max(0, len(lines) - count) :])
