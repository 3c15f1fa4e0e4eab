"""How Glance writes things down."""

from __future__ import annotations

import re
from typing import Any

from pileus.kernel.api.dialect import Dialect, Predicate, iso_z
from pileus.kernel.api.links import first_and_next
from pileus.kernel.errors import ApiError, BadRequest

OPERATORS = ("in", "neq", "eq", "gt", "gte", "lt", "lte")


def envelope(error: ApiError, request_id: str) -> dict[str, Any]:
    """`{"code": "404 Not Found", "title": "Not Found", "message": …}`."""
    return {"message": error.message, "code": f"{error.status} {error.title}", "title": error.title}


def predicates(values: list[str]) -> list[Predicate]:
    """`name=in:a,b`, `size=gte:5`, or a plain value (Image API v2, "List images", comparison operators)."""
    found: list[Predicate] = []
    for value in values:
        operator, colon, operand = value.partition(":")
        if not colon or operator not in OPERATORS:
            found.append(("eq", value))
        elif operator == "in":
            found.append(("in", split_values(operand)))
        else:
            found.append(("ne" if operator == "neq" else operator, operand))
    return found


_VALUE = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^",]*))\s*(?:,|$)')


def split_values(text: str) -> list[str]:
    """`a,"b,c"`: values with commas in them are quoted, quotes in those escaped by a backslash. 400 where one is open."""
    values, at = [], 0
    while at <= len(text):
        matched = _VALUE.match(text, at)
        if matched is None:
            raise BadRequest(f"Invalid filter value {text}. The quote is not closed.")
        quoted, plain = matched.groups()
        values.append(plain.strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        if matched.end() == len(text) and not matched.group().endswith(","):
            break
        at = matched.end()
    return values


GLANCE = Dialect(
    name="glance",
    envelope=envelope,
    wrapped=False,
    slash_names_nothing=True,
    time=iso_z,
    predicates=predicates,
    links=first_and_next,
    page_limit=1000,
    default_page=25,
    over_quota_status=413,
    challenge={"www-authenticate": 'Keystone uri="/identity"'},
)
