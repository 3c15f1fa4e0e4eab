"""A resource, described once: its fields, its table, its operations.

    class Keypair(Resource, member="keypair", collection="keypairs", path="/os-keypairs", table=model.keypairs):
        name: Name = field(create, filter, required=True)
        created_at: datetime = field()

    @Keypair.create(policy=policy.CREATE, status=201)
    def create(call, tx, body):
        return store.insert_keypair(tx, call.context.user_id, body)

    Keypair.show(policy=policy.SHOW)
    Keypair.list(policy=policy.LIST)

What several resources share stands in a class without a table: `class Standard(Resource)`, `class Port(Standard, …)`.
Routes, validation, projection to old versions, filters, sorting, paging and OpenAPI follow from that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import UNSET
from sqlalchemy import ColumnElement, Row, Table, bindparam, select
from sqlalchemy.sql import Select

from pileus.kernel.api.fields import Field, Use, declared_fields, named_project
from pileus.kernel.api.operation import Kind, Operation
from pileus.kernel.api.rendering import Rendering
from pileus.kernel.api.versions import Version
from pileus.kernel.context import own
from pileus.kernel.db import Tx
from pileus.kernel.errors import NotFound

if TYPE_CHECKING:
    from pileus.kernel.api.call import Call

Handler = Callable[..., Any]
Visibility = tuple[ColumnElement[bool], Mapping[str, Any]] | None
"""A clause with named bind parameters and their values, or None where all rows are visible."""
FilterFunction = Callable[
    ["Call", list[str]], "ColumnElement[bool] | tuple[ColumnElement[bool], Mapping[str, Any]] | None"
]
"""From a query parameter's values to a clause. A clause that is always the same object, with its bind parameters'
values beside it, lets the list's statement be kept; None asks nothing."""


class Resource:
    """Base of all declared resources; see the module's text. Classes are descriptions, never instantiated."""

    member: ClassVar[str]
    collection: ClassVar[str]
    path: ClassVar[str]
    table: ClassVar[Table]
    id_param: ClassVar[str]
    """The name of the path's last parameter."""
    key: ClassVar[str] = "id"
    """The column that the path's last segment names."""
    kind: ClassVar[str]
    """As in `NetworkNotFound`."""
    parent: ClassVar[type[Resource] | None]
    parent_column: ClassVar[str | None]
    """The column that holds the parent's id."""
    extras: ClassVar[str | None]
    """The JSON column that keeps what clients send beyond the declared fields; None refuses it. Bodies have
    them as `body.extra`."""
    fields: ClassVar[dict[str, Field]]
    operations: ClassVar[list[Operation]]
    filters: ClassVar[Mapping[str, FilterFunction]] = {}
    """Query parameters that are no plain comparison with a column."""
    wide: ClassVar[bool] = False
    """Whether rows are so long that lists by other than the default order sort ids alone, and read rows afterwards.
    What narrows them must then look at the resource's own table only."""
    default_sort: ClassVar[tuple[tuple[str, str], ...]] = (("created_at", "desc"), ("id", "desc"))
    """(column, asc or desc), most telling first; ends in something unique."""

    def __init_subclass__(
        cls,
        *,
        member: str = "",
        collection: str = "",
        table: Table | None = None,
        path: str = "",
        id_param: str = "id",
        kind: str = "",
        parent: type[Resource] | None = None,
        parent_column: str | None = None,
        extras: str | None = None,
        since: Version | None = None,
        until: Version | None = None,
    ) -> None:
        """`since`, `until`: the versions that know the resource, for every operation that says nothing else."""
        if table is None:
            return  # what several resources share, not one itself
        cls.member, cls.collection, cls.table, cls.extras = member, collection, table, extras
        cls.path = path or f"/{collection}"
        cls.id_param = id_param
        cls.kind = kind or cls.__name__
        cls.parent, cls.parent_column = parent, parent_column
        cls.operations, cls._alive = [], {"since": since, "until": until}
        cls._statements, cls._by_version, cls._renderings = {}, {}, {}
        cls.fields = {}
        for base in reversed(cls.__mro__):
            cls.fields.update(declared_fields(base))
        for name, value in cls.fields.items():
            if value.column is not None and value.column not in table.c and Use.hidden not in value.use:
                raise TypeError(f"{cls.__name__}.{name}: {table.name} has no column {value.column}")

    _alive: ClassVar[dict[str, Version | None]]
    """What operations have as `since` and `until` unless they say otherwise."""
    _statements: ClassVar[dict[ColumnElement[bool] | None, Select[Any]]]
    """By visibility clause; clauses are module constants, so there are few."""
    _by_version: ClassVar[dict[tuple[Version | None, str], list[Field]]]
    """The fields of a view at a version."""
    _renderings: ClassVar[dict[tuple[str, ...], Rendering]]
    """By the names of fields, since there are few combinations."""

    # What a service may override

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        """Which rows exist for the caller: those of its project, or all for an administrator."""
        column = cls.table.c.get("project_id")
        if column is None or call.context.is_admin:
            return None
        return _own_project(cls.table), {"visible_project_id": call.context.project_id}

    @classmethod
    def listed(cls, call: Call) -> Visibility:
        """Which rows a list shows where that is narrower than what is visible."""
        return cls.visible(call)

    @classmethod
    def sort_columns(cls) -> Mapping[str, str]:
        """The columns by which lists can be sorted, by the name that clients use."""
        return {each.wire: each.column or each.name for each in cls.fields.values() if Use.sort in each.use}

    @classmethod
    def rejects_unknown_filters(cls, call: Call) -> bool:
        """Whether a query parameter that is no filter is an error, or ignored."""
        return call.runtime.service.dialect.reject_unknown_filters

    @classmethod
    def other_filter(cls, call: Call, name: str, values: Sequence[str]) -> ColumnElement[bool] | None:
        """A clause for a query parameter that is no declared filter; None where it is nothing."""
        return None

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        """What policy rules see of a row."""
        return row._asdict()

    @classmethod
    def target_of_new(cls, call: Call, tx: Tx, body: Any) -> dict[str, Any]:
        """What policy rules see of a row that is about to be made."""
        return body_target(call, body)

    @classmethod
    def gather(cls, call: Call, tx: Tx, rows: Sequence[Row[Any]]) -> None:
        """Reads what rendering needs beyond the rows, for all of them at once, into `call.gathered`."""

    @classmethod
    def refuse_read_only(cls, names: Sequence[str]) -> None:
        """Where extras are taken: raises for what a client sent that is shown but not for it to set, or ignores it."""

    @classmethod
    def not_found(cls, key: str) -> NotFound:
        return NotFound(f"{cls.kind} {key} could not be found.", kind=f"{cls.kind}NotFound")

    @classmethod
    def load(cls, call: Call, tx: Tx, key: str) -> Row[Any]:
        """The row that the path names, if it exists for the caller; 404 otherwise."""
        if "\0" in key:  # PostgreSQL has no such text
            raise cls.not_found(key)
        visible = cls.visible(call)
        params: dict[str, Any] = {"key": key}
        clause = None
        if visible is not None:
            clause, more = visible
            params.update(more)
        statement = cls._statements.get(clause)
        if statement is None:
            statement = cls.select().where(cls.table.c[cls.key] == bindparam("key"))
            if clause is not None:
                statement = statement.where(clause)
            if cls.parent_column is not None:
                statement = statement.where(cls.table.c[cls.parent_column] == bindparam("parent_key"))
            cls._statements[clause] = statement
        if cls.parent_column is not None:
            params["parent_key"] = call.parent.id if call.parent is not None else None
        row = tx.row(statement, **params)
        if row is None:
            raise cls.not_found(key)
        return row

    @classmethod
    def columns(cls, body: Any) -> dict[str, Any]:
        """What a create or update body says, defaults included, by the table's columns: ready for `rows.add` and
        `rows.change`. Fields without a column, and what the body leaves unsaid, are not in it."""
        return {
            each.column: value
            for each in cls.fields.values()
            if each.column is not None
            and each.column in cls.table.c
            and (value := getattr(body, each.name, UNSET)) is not UNSET
        }

    @classmethod
    def select(cls) -> Select[Any]:
        """All that rendering needs; by default the table's own columns."""
        return select(cls.table)

    # How it looks

    @classmethod
    def view(
        cls, call: Call, name: str = "full", *, whole: bool = False
    ) -> Callable[[Row[Any]], dict[str, Any]]:
        """A function that shows a row to this caller. Made once a request, then quick for each row.

        `whole`: whatever `fields` the client asks for, as for a resource that is shown inside of another.
        """
        picky = call.runtime.service.dialect.bulk and not whole
        wanted = (
            {name for value in call.query.get("fields", ()) for name in value.split(",")} if picky else None
        )
        fields = [each for each in cls.shown(call, name) if not wanted or each.wire in wanted]
        key = tuple(each.name for each in fields)
        rendering = cls._renderings.get(key)
        if rendering is None:
            rendering = cls._renderings[key] = Rendering.of(fields)
        return rendering.view(call, cls.extras if name == "full" else None)

    @classmethod
    def shown(cls, call: Call, view: str) -> Iterable[Field]:
        """The fields that this caller sees."""
        key = (call.version, view)
        fields = cls._by_version.get(key)
        if fields is None:
            fields = cls._by_version[key] = [
                each
                for each in cls.fields.values()
                if Use.hidden not in each.use
                and each.alive(call.version)
                and (view != "brief" or Use.brief in each.use)
            ]
        return [each for each in fields if each.policy is None or call.allows(each.policy)]

    # What can be done with it

    @classmethod
    def _add(cls, kind: Kind, method: str, path: str, **options: Any) -> Callable[[Handler], Handler]:
        options = {**cls._alive, "writes": kind.writes, **options}

        def declare(handler: Handler) -> Handler:
            cls.operations.append(
                Operation(kind=kind, method=method, path=path, handler=handler, resource=cls, **options)
            )
            return handler

        return declare

    @classmethod
    def member_path(cls, suffix: str = "") -> str:
        """Where one is, and what lies below it."""
        return f"{cls.path}/{{{cls.id_param}}}{suffix}"

    @classmethod
    def create(
        cls,
        *,
        policy: str,
        status: int = 201,
        quota: Mapping[str, int | Callable[[Any], int]] | None = None,
        by_id: bool = False,
        **more: Any,
    ) -> Callable[[Handler], Handler]:
        """`POST` on the collection, or with `by_id` a `PUT` on a member that is not there yet."""
        method, path = ("PUT", cls.member_path()) if by_id else ("POST", cls.path)
        return cls._add(Kind.CREATE, method, path, policy=policy, status=status, quota=quota, **more)

    @classmethod
    def update(
        cls, *, policy: str, status: int = 200, method: str = "PUT", **more: Any
    ) -> Callable[[Handler], Handler]:
        """`PUT` (or `PATCH`) on the member."""
        return cls._add(Kind.UPDATE, method, cls.member_path(), policy=policy, status=status, **more)

    @classmethod
    def delete(cls, *, policy: str, status: int = 204, **more: Any) -> Callable[[Handler], Handler]:
        """`DELETE` on the member."""
        return cls._add(Kind.DELETE, "DELETE", cls.member_path(), policy=policy, status=status, **more)

    @classmethod
    def action(
        cls,
        name: str,
        *,
        policy: str,
        body: Any = None,
        status: int = 202,
        suffix: str = "/action",
        **more: Any,
    ) -> Callable[[Handler], Handler]:
        """`POST` on the member's `/action` with a body of one name. `body` is that name's type; None means null."""
        return cls._add(
            Kind.ACTION,
            "POST",
            cls.member_path(suffix),
            policy=policy,
            status=status,
            body=body,
            action=name,
            **more,
        )

    @classmethod
    def member_route(
        cls, method: str, suffix: str, *, policy: str, status: int = 200, body: Any = None, **more: Any
    ) -> Callable[[Handler], Handler]:
        """Anything else below the member: `(call, tx, row)`, and the body where it has a type."""
        kind = Kind.SHOW if method == "GET" else Kind.DELETE if body is None else Kind.UPDATE
        return cls._add(
            kind, method, cls.member_path(suffix), policy=policy, status=status, body=body, **more
        )

    @classmethod
    def show(cls, *, policy: str, **more: Any) -> Callable[[Handler], Handler]:
        """`GET` on the member; called for its effect, it shows the row as declared."""
        return cls._add_default(_show_row, Kind.SHOW, cls.member_path(), policy, more)

    @classmethod
    def list(
        cls, *, policy: str, suffix: str = "", view: str = "full", **more: Any
    ) -> Callable[[Handler], Handler]:
        """`GET` on the collection; called for its effect, it lists rows as declared."""
        return cls._add_default(_list_rows, Kind.LIST, cls.path + suffix, policy, {"view": view, **more})

    @classmethod
    def _add_default(
        cls, default: Handler, kind: Kind, path: str, policy: str, options: dict[str, Any]
    ) -> Callable[[Handler], Handler]:
        cls._add(kind, "GET", path, policy=policy, status=200, **options)(default)

        def declare(handler: Handler) -> Handler:
            cls.operations.pop()
            return cls._add(kind, "GET", path, policy=policy, status=200, **options)(handler)

        return declare


def body_target(call: Call, body: Any) -> dict[str, Any]:
    """The caller's own things as a policy target, or those of the project that the body names."""
    target = own(call.context)
    project_id = named_project(body)
    if project_id is not None:
        target["project_id"] = target["tenant_id"] = project_id
    return target


def _show_row(call: Call, tx: Tx, row: Row[Any]) -> Row[Any]:
    """Shows one."""
    return row


def _list_rows(call: Call, tx: Tx) -> Any:
    """Lists those that the caller may see, filtered, sorted and by pages."""
    from pileus.kernel.api.listing import listing

    assert call.operation.resource is not None
    return listing(call, tx, call.operation.resource, call.operation.view)


_own_project_clauses: dict[str, ColumnElement[bool]] = {}


def _own_project(table: Table) -> ColumnElement[bool]:
    clause = _own_project_clauses.get(table.name)
    if clause is None:
        clause = _own_project_clauses[table.name] = table.c.project_id == bindparam("visible_project_id")
    return clause
