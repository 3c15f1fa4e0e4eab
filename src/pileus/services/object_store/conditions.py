"""Conditional requests and ranges (RFC 9110, sections 13 and 14), as Swift reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from itertools import combinations

from pileus.kernel.errors import PreconditionFailed, RangeNotSatisfiable
from pileus.lib import http_date

MAX_RANGES, MAX_OVERLAPS, MAX_DISORDERED = 50, 2, 7
"""More in one request, more pairs that overlap, or more in no order are an attack (RFC 9110, section 14.2)."""
_BYTES = re.compile(r"^\s*bytes\s*=", re.IGNORECASE)
_RANGE = re.compile(r"^(\d*)\s*-\s*(\d*)$", re.ASCII)


def _tags(header: str) -> set[str]:
    return {each.strip().strip('"') for each in header.split(",") if each.strip()}


_CONDITIONS = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"})


def are_asked(headers: Mapping[str, str]) -> bool:
    return not _CONDITIONS.isdisjoint(headers)


def not_modified(headers: Mapping[str, str], etag: str, changed: datetime) -> bool:
    """True where a 304 is the answer; 412 where a condition fails. For GET and HEAD of what exists."""
    if (match := headers.get("if-match")) is not None and not (_tags(match) & {etag, "*"}):
        raise PreconditionFailed("A precondition for this request was not met.")
    if (none := headers.get("if-none-match")) is not None:
        if _tags(none) & {etag, "*"}:
            return True
    elif (since := http_date.parse(headers.get("if-modified-since"))) is not None and changed <= since:
        return True
    unmodified = http_date.parse(headers.get("if-unmodified-since"))
    if unmodified is not None and changed > unmodified:
        raise PreconditionFailed("A precondition for this request was not met.")
    return False


def ranges(header: str | None, size: int) -> list[tuple[int, int]] | None:
    """(offset, length) of each part that is wanted and there; None for all. 416 where no part is there, or too many are
    wanted."""
    unit = None if header is None else _BYTES.match(header)
    if header is None or unit is None:
        return None
    found: list[tuple[int, int]] = []
    specs = [each.strip() for each in header[unit.end() :].split(",")]
    for spec in specs:
        matched = _RANGE.match(spec)
        if matched is None or matched.groups() == ("", "") or len(spec) > 40:
            return None
        first, last = matched.groups()
        if first == "":
            if size == 0 and int(last):
                return None  # the last bytes of none: all of it
            start = max(0, size - int(last))
            end = size if int(last) else 0
        else:
            start = int(first)
            end = min(int(last) + 1, size) if last else size
            if last and int(last) < start:
                return None
        if start < end:
            found.append((start, end - start))
    if not found or _is_attack(found):
        raise RangeNotSatisfiable(
            "The Range requested is not available.", headers={"content-range": f"bytes */{size}"}
        )
    return found


def _is_attack(wanted: list[tuple[int, int]]) -> bool:
    if len(wanted) > MAX_RANGES or (len(wanted) > MAX_DISORDERED and sorted(wanted) != wanted):
        return True
    overlaps = sum(
        max(one, other) < min(one + length, other + more) and (one, length) != (other, more)
        for (one, length), (other, more) in combinations(wanted, 2)
    )
    return overlaps > MAX_OVERLAPS
