"""How Glance writes things down."""

from __future__ import annotations

from typing import Any

from pileus.kernel.api.dialect import Dialect, Predicate, iso_z
from pileus.kernel.api.links import first_and_next
from pileus.kernel.errors import ApiError

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
            found.append(("in", [each.strip().strip('"') for each in operand.split(",")]))
        else:
            found.append(("ne" if operator == "neq" else operator, operand))
    return found


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
