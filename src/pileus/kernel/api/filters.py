"""Filters of lists: their names, what may follow a name, and what they mean to a column or to a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

from sqlalchemy import ColumnElement, Row, bindparam, func

from pileus.kernel.api.call import read_bool
from pileus.kernel.api.fields import Field, Use
from pileus.kernel.api.rendering import is_time
from pileus.kernel.api.resource import Resource
from pileus.kernel.errors import BadRequest

if TYPE_CHECKING:
    from pileus.kernel.api.call import Call

COMPARATORS = {
    "eq": "eq",
    "ne": "ne",
    "gt": "gt",
    "gte": "gte",
    "lt": "lt",
    "lte": "lte",
    "equals": "eq",
    "iequals": "ieq",
    "contains": "contains",
    "icontains": "contains",
    "startswith": "startswith",
    "istartswith": "startswith",
    "endswith": "endswith",
    "iendswith": "endswith",
}
"""What may follow a filter's name, as in `name__contains`; anything else is no filter (Identity API v3, filtering).
Parts of a text are found whatever the case of their letters."""


def compare(column: ColumnElement[Any], operator: str, bind: str) -> ColumnElement[bool]:
    """`column operator :bind` for the operators that dialects know."""
    value: Any = bindparam(bind, expanding=operator in ("in", "not_in"), type_=column.type)
    clause: ColumnElement[bool]
    match operator:
        case "eq":
            clause = column == value
        case "ne":
            clause = column != value
        case "in":
            clause = column.in_(value)
        case "not_in":
            clause = column.not_in(value)
        case "gt":
            clause = column > value
        case "gte":
            clause = column >= value
        case "lt":
            clause = column < value
        case "lte":
            clause = column <= value
        case "contains" | "startswith" | "endswith":
            clause = column.ilike(bindparam(bind), escape="\\")
        case "ieq":
            clause = func.lower(column) == func.lower(bindparam(bind, type_=column.type))
        case _:
            raise ValueError(f"no operator {operator}")
    return clause


def row_tests(call: Call, resource: type[Resource]) -> Iterator[Callable[[Row[Any]], bool]]:
    """The call's filters as tests of rows that were read otherwise; for short lists."""
    by_name = filters_by_name(resource, call)
    for name, values in call.query.items():
        base, _, suffix = name.partition("__")
        found = by_name.get(name) or by_name.get(base)
        operator = COMPARATORS.get(suffix or "eq")
        if found is not None and operator in _TESTS:
            wanted = operand(found, "eq", values[-1]) if operator == "eq" else values[-1]
            yield _row_test(found.column or found.name, _TESTS[operator], wanted)


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, wanted: bool(value == wanted),
    "ieq": lambda value, wanted: str(value).lower() == wanted.lower(),
    "contains": lambda value, wanted: wanted.lower() in str(value).lower(),
    "startswith": lambda value, wanted: str(value).lower().startswith(wanted.lower()),
    "endswith": lambda value, wanted: str(value).lower().endswith(wanted.lower()),
}


def _row_test(column: str, test: Callable[[Any, Any], bool], wanted: Any) -> Callable[[Row[Any]], bool]:
    return lambda row: test(getattr(row, column), wanted)


def filters_by_name(resource: type[Resource], call: Call) -> Mapping[str, Field]:
    return {
        each.wire: each
        for each in resource.fields.values()
        if Use.filter in each.use and each.column is not None and each.alive(call.version)
    }


def operand(each: Field, operator: str, value: Any) -> Any:
    """The text of a query as a value of the field's type."""
    if operator in ("in", "not_in"):
        return [operand(each, "eq", one) for one in value]
    if operator in ("contains", "startswith", "endswith"):
        escaped = str(value).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return {"contains": f"%{escaped}%", "startswith": f"{escaped}%", "endswith": f"%{escaped}"}[operator]
    if is_time(each.type):
        return read_time(each.wire, value)
    kinds = (each.type, *get_args(each.type))
    if bool in kinds:
        return read_bool(each.wire, value)
    if int in kinds and str not in kinds:
        try:
            number = int(value)
        except ValueError as error:
            raise BadRequest(
                f"Invalid value {value!r} for {each.wire}: it must be a whole number."
            ) from error
        return max(-(2**63), min(number, 2**63 - 1))
    return value


def read_time(name: str, value: str) -> datetime:
    """An ISO 8601 time; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise BadRequest(
            f"Invalid value {value!r} for {name}: it must be a time as 2026-01-31T12:00:00Z."
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
