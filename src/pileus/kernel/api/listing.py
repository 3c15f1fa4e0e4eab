"""Lists: filters, sorting, pages by marker, and the links between pages.

Pages are cut by key (`created_at < … or (created_at = … and id < …)`), so the thousandth page costs what the
first does. The statement for each shape of request is built once and kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, func, or_, select
from sqlalchemy.sql import Select

from pileus.kernel.api.filters import COMPARATORS, compare, filters_by_name, operand
from pileus.kernel.api.resource import Resource
from pileus.kernel.db import Tx
from pileus.kernel.errors import ApiError, BadRequest

if TYPE_CHECKING:
    from pileus.kernel.api.call import Call
    from pileus.kernel.api.dialect import Dialect

SortKeys = tuple[tuple[str, str], ...]
CONTROL = frozenset(
    {"limit", "marker", "sort_key", "sort_dir", "sort", "page_reverse", "fields", "all_tenants"}
)
"""Parameters that shape a list and are no filters."""


@dataclass(slots=True)
class Page:
    """One page of a list, before its links are added."""

    resource: type[Resource]
    rows: Sequence[Row[Any]]
    limit: int | None
    """What the client asked for, cut to the dialect's most; None where it asked for no limit."""
    more: bool
    """Whether rows follow."""
    marker: str | None
    reverse: bool


@dataclass(slots=True)
class Query:
    """What a list asks of the database: the shape decides the statement, the params are bound to it."""

    clauses: list[tuple[str, str, str]] = field(default_factory=list)
    """(column, operator, bind name)."""
    params: dict[str, Any] = field(default_factory=dict)
    kept: list[ColumnElement[bool]] = field(default_factory=list)
    """Clauses that are the same object in every call."""
    extra: list[ColumnElement[bool]] = field(default_factory=list)
    """Clauses that can't be kept; a list with any builds its statement anew."""


_statements: dict[Any, Select[Any]] = {}


def listing(
    call: Call,
    tx: Tx,
    resource: type[Resource],
    view: str = "full",
    where: Sequence[ColumnElement[bool]] = (),
) -> dict[str, Any]:
    """The collection's body for this call. `where` narrows it further."""
    page = page_of(call, tx, resource, where)
    resource.gather(call, tx, page.rows)
    show = resource.view(call, view)
    return {
        resource.collection: [show(row) for row in page.rows],
        **call.runtime.service.dialect.links(call, page),
    }


def page_of(
    call: Call, tx: Tx, resource: type[Resource], where: Sequence[ColumnElement[bool]] = (), *, skip: int = 0
) -> Page:
    """The rows of the page that the call asks for; 400 for parameters that make no sense. `skip`: rows left out at
    the start, for the few lists whose pages are by offset."""
    dialect = call.runtime.service.dialect
    query = _filters(call, resource)
    query.extra.extend(where)
    limit = _limit(call, dialect.page_limit)
    sort = _sort(call, resource)
    reverse = call.flag("page_reverse") if dialect.bulk else False
    if reverse:
        sort = tuple((column, "asc" if way == "desc" else "desc") for column, way in sort)
    visible = resource.listed(call)
    clause = None
    if visible is not None:
        clause, more = visible
        query.params.update(more)
    marker = call.arg("marker")
    if marker:
        for n, (column, _) in enumerate(sort):
            value = getattr(_marker_row(call, tx, resource, marker), column)
            query.params[f"marker_{n}"] = _null_stand_in(resource, column) if value is None else value
    if resource.parent_column is not None:
        query.params["parent_key"] = call.parent.id if call.parent is not None else None
    query.params["page_size"] = (limit if limit is not None else _unasked(call, dialect)) + 1 + skip
    shape = (resource, clause, tuple(query.clauses), tuple(query.kept), sort, bool(marker))
    statement = None if query.extra else _statements.get(shape)
    if statement is None:
        statement = _statement(resource, clause, query, sort, bool(marker))
        if not query.extra:
            _statements[shape] = statement
    rows = tx.rows(statement, **query.params)
    size = query.params["page_size"] - 1
    page, more_rows = rows[skip:size], len(rows) > size
    return Page(resource, page[::-1] if reverse else page, limit, more_rows, marker, reverse)


def _unasked(call: Call, dialect: Dialect) -> int:
    """How many items a page has where the client does not say."""
    size = dialect.default_page
    if callable(size):
        size = size(call)
    return size or dialect.page_limit


def _statement(
    resource: type[Resource],
    clause: ColumnElement[bool] | None,
    query: Query,
    sort: SortKeys,
    after_marker: bool,
) -> Select[Any]:
    columns = resource.table.c
    sorts_ids = resource.wide and sort[0][0] != resource.default_sort[0][0]
    key = columns[resource.default_sort[-1][0]]
    statement = select(key) if sorts_ids else resource.select()
    if clause is not None:
        statement = statement.where(clause)
    if resource.parent_column is not None:
        statement = statement.where(columns[resource.parent_column] == bindparam("parent_key"))
    for column, operator, bind in query.clauses:
        statement = statement.where(compare(columns[column], operator, bind))
    for extra in (*query.kept, *query.extra):
        statement = statement.where(extra)
    keys = [(_sortable(resource, column), way, f"marker_{n}") for n, (column, way) in enumerate(sort)]
    if after_marker:
        statement = statement.where(_after(keys))
    order = [each.desc() if way == "desc" else each.asc() for each, way, _ in keys]
    page = statement.order_by(*order).limit(bindparam("page_size"))
    return resource.select().where(key.in_(page)).order_by(*order) if sorts_ids else page


def _filters(call: Call, resource: type[Resource]) -> Query:
    dialect = call.runtime.service.dialect
    by_name = filters_by_name(resource, call)
    query = Query()
    for name, values in call.query.items():
        if name in CONTROL:
            continue
        if name in resource.filters:
            made = resource.filters[name](call, values)
            if isinstance(made, tuple):
                query.kept.append(made[0])
                query.params.update(made[1])
            elif made is not None:
                query.extra.append(made)
            continue
        base, _, suffix = name.partition("__")
        found = by_name.get(name) or by_name.get(base)
        if found is None:
            other = resource.other_filter(call, name, values)
            if other is not None:
                query.extra.append(other)
                continue
            if resource.rejects_unknown_filters(call):
                raise BadRequest(f"{name!r} is no filter of {resource.collection}.", kind="InvalidInput")
            continue
        if suffix and name not in by_name:
            if suffix not in COMPARATORS:
                continue
            predicates = [(COMPARATORS[suffix], values[-1])]
        else:
            predicates = dialect.predicates(values)
        for operator, value in predicates:
            bind = f"filter_{len(query.clauses)}"
            query.clauses.append((found.column or found.name, operator, bind))
            query.params[bind] = operand(found, operator, value)
    return query


def _limit(call: Call, most: int) -> int | None:
    text = call.arg("limit")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadRequest(f"Invalid limit {text!r}: it must be a whole number, zero or more.")
    number = int(text)
    return min(number, most) if number or not call.runtime.service.dialect.bulk else None


def _sort(call: Call, resource: type[Resource]) -> SortKeys:
    """`sort_key` and `sort_dir`, as often as wanted, or `sort=key:dir,key`."""
    pairs: list[tuple[str, str]] = []
    if (combined := call.arg("sort")) is not None:
        pairs = [
            (key.strip(), way.strip() or "desc")
            for key, _, way in (p.partition(":") for p in combined.split(","))
        ]
    elif "sort_key" in call.query:
        ways = call.query.get("sort_dir", [])
        fallback = ways[-1] if len(ways) == 1 else ("asc" if call.runtime.service.dialect.bulk else "desc")
        for n, key in enumerate(call.query["sort_key"]):
            pairs.append((key, ways[n] if n < len(ways) else fallback))
    elif ways := call.query.get("sort_dir", []):
        pairs = [(resource.default_sort[0][0], ways[-1])]
    if not pairs:
        return resource.default_sort
    known = resource.sort_columns()
    sort: list[tuple[str, str]] = []
    for key, way in pairs:
        if key not in known:
            raise BadRequest(f"Can't sort by {key!r}; the keys are {', '.join(sorted(known))}.")
        if way not in ("asc", "desc"):
            raise BadRequest(f"Unknown sort direction {way!r}; it is asc or desc.")
        if known[key] not in dict(sort):
            sort.append((known[key], way))
    for column, way in resource.default_sort:
        if column not in dict(sort):
            sort.append((column, sort[-1][1] if column == "id" else way))
    return tuple(sort)


def _marker_row(call: Call, tx: Tx, resource: type[Resource], marker: str) -> Row[Any]:
    try:
        return resource.load(call, tx, marker)
    except ApiError as error:
        status = call.runtime.service.dialect.marker_status
        raise ApiError(f"marker [{marker}] not found", status=status, kind=error.kind) from error


def _after(keys: list[tuple[ColumnElement[Any], str, str]]) -> ColumnElement[bool]:
    """Everything that sorts behind the marker."""
    alternatives = []
    for n, (key, way, bind) in enumerate(keys):
        value: Any = bindparam(bind, type_=key.type)
        beyond = key < value if way == "desc" else key > value
        same = [earlier == bindparam(name, type_=earlier.type) for earlier, _, name in keys[:n]]
        alternatives.append(and_(*same, beyond))
    # Said once more for the first key alone: databases find their way into an index by that, not by alternatives.
    first, way, bind = keys[0]
    bound: Any = bindparam(bind, type_=first.type)
    return and_(first <= bound if way == "desc" else first >= bound, or_(*alternatives))


def _null_stand_in(resource: type[Resource], column: str) -> Any:
    """What an absent value sorts as: before all others."""
    kind = resource.table.c[column].type.python_type
    return {int: -1, bool: False, str: ""}.get(kind, datetime(1970, 1, 1, tzinfo=UTC))


def _sortable(resource: type[Resource], name: str) -> ColumnElement[Any]:
    column = resource.table.c[name]
    if not column.nullable:
        return column
    return func.coalesce(
        column,
        bindparam(None, _null_stand_in(resource, name), type_=column.type, unique=True),
        type_=column.type,
    )
