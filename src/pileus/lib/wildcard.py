"""Patterns in which `*` stands for any characters and `?` for one; matched in time that grows with text times pattern."""

from __future__ import annotations

import re
from collections.abc import Iterable


class Wildcard:
    """Each part that is `literal` is taken as it is; in the others `*` and `?` mean something."""

    __slots__ = ("_pieces",)

    def __init__(self, parts: Iterable[tuple[str, bool]], *, any_case: bool = False) -> None:
        """Of (text, literal)."""
        pieces = [""]
        for text, literal in parts:
            for each in [text] if literal else re.split(r"([*?])", text):
                if literal or each not in ("*", "?"):
                    pieces[-1] += re.escape(each)
                elif each == "?":
                    pieces[-1] += "."
                else:
                    pieces.append("")
        # No piece repeats anything, so nothing is tried more than once at a place.
        flags = re.DOTALL | (re.IGNORECASE if any_case else 0)
        self._pieces = [re.compile(each, flags) for each in pieces]

    def matches(self, text: str) -> bool:
        """Whether all of the text fits."""
        first, *others = self._pieces
        if not others:
            return first.fullmatch(text) is not None
        found = first.match(text)
        for piece in others[:-1]:
            found = piece.search(text, found.end()) if found is not None else None
        if found is None:
            return False
        last = others[-1]
        ends = re.compile(f"(?:{last.pattern})\\Z", last.flags)
        return ends.search(text, found.end()) is not None


def wildcard(text: str, *, any_case: bool = False) -> Wildcard:
    return Wildcard([(text, False)], any_case=any_case)
