"""Tags: free words on resources, set as a whole or one by one, and lists narrowed by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta
from sqlalchemy import ColumnElement, Row, Table, Text, and_, not_, or_, type_coerce

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import field, read_only
from pileus.kernel.api.resource import FilterFunction
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, NotFound
from pileus.kernel.http.reply import encode_json
from pileus.services.network.api.standard import Standard
from pileus.services.network.store import rows

Tag: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]
MOST: Final = 50


class TagsBody(msgspec.Struct, forbid_unknown_fields=True):
    """Asked for as they are shown."""

    tags: list[Tag]


class Tagged(Standard):
    """A resource with tags; `declare_tags` gives it their operations."""

    tags: list[Tag] = field(read_only)


def tag_filters(table: Table) -> dict[str, FilterFunction]:
    """`tags`, `tags-any`, `not-tags`, `not-tags-any`; each takes tags separated by commas."""

    def has(tag: str) -> ColumnElement[bool]:
        quoted = encode_json(tag).decode()
        escaped = quoted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return type_coerce(table.c.tags, Text).like(f"%{escaped}%", escape="\\")

    def words(values: Sequence[str]) -> list[ColumnElement[bool]]:
        return [has(tag) for value in values for tag in value.split(",") if tag]

    def every(call: Call, values: list[str]) -> ColumnElement[bool]:
        return and_(True, *words(values))

    def some(call: Call, values: list[str]) -> ColumnElement[bool]:
        return or_(False, *words(values))

    def without_every(call: Call, values: list[str]) -> ColumnElement[bool]:
        return not_(and_(True, *words(values)))

    def without_some(call: Call, values: list[str]) -> ColumnElement[bool]:
        return not_(or_(False, *words(values)))

    return {"tags": every, "tags-any": some, "not-tags": without_every, "not-tags-any": without_some}


def checked_tags(tags: Sequence[str]) -> list[str]:
    """Unique, in order; 400 for what can't be a tag."""
    unique = sorted(set(tags))
    if len(unique) > MOST:
        raise BadRequest(f"Invalid input for tags. Reason: at most {MOST} tags fit on a resource.")
    for tag in unique:
        if "," in tag:
            raise BadRequest(f"Invalid input for tags. Reason: '{tag}' has a comma, which separates tags.")
    return unique


def declare_tags(resource: type[Tagged]) -> None:
    """The operations below `/tags` of a resource's members."""
    kind = resource.kind_name
    see, make, replace, drop = (f"{verb}_{kind}:tags" for verb in ("get", "create", "update", "delete"))

    def write(tx: Tx, row: Row[Any], tags: list[str]) -> None:
        if tags != row.tags:
            rows.change(tx, resource.table, row.id, tags=tags)

    @resource.member_route("GET", "/tags", policy=see)
    def list_tags(call: Call, tx: Tx, row: Row[Any]) -> TagsBody:
        """Lists the tags."""
        return TagsBody(row.tags)

    @resource.member_route("PUT", "/tags", policy=replace, body=TagsBody)
    def replace_tags(call: Call, tx: Tx, row: Row[Any], body: TagsBody) -> TagsBody:
        """Replaces all tags."""
        tags = checked_tags(body.tags)
        write(tx, row, tags)
        return TagsBody(tags)

    @resource.member_route("POST", "/tags", policy=make, body=TagsBody, status=201)
    def add_tags(call: Call, tx: Tx, row: Row[Any], body: TagsBody) -> TagsBody:
        """Adds some tags."""
        tags = checked_tags([*row.tags, *body.tags])
        write(tx, row, tags)
        return TagsBody(tags)

    @resource.member_route("DELETE", "/tags", policy=drop, status=204)
    def drop_tags(call: Call, tx: Tx, row: Row[Any]) -> None:
        """Removes all tags."""
        write(tx, row, [])

    @resource.member_route("GET", "/tags/{tag}", policy=see, status=204)
    def find_tag(call: Call, tx: Tx, row: Row[Any]) -> None:
        """Answers 204 where the tag is set, 404 where it is not."""
        _require(call, row)

    @resource.member_route("PUT", "/tags/{tag}", policy=replace, status=201)
    def add_tag(call: Call, tx: Tx, row: Row[Any]) -> None:
        """Sets one tag."""
        tag = call.params["tag"]
        if len(tag) > 255 or "\0" in tag:
            raise BadRequest(
                "Invalid input for tags. Reason: a tag has at most 255 characters, none of them NUL."
            )
        write(tx, row, checked_tags([*row.tags, tag]))

    @resource.member_route("DELETE", "/tags/{tag}", policy=drop, status=204)
    def drop_tag(call: Call, tx: Tx, row: Row[Any]) -> None:
        """Removes one tag."""
        _require(call, row)
        write(tx, row, [tag for tag in row.tags if tag != call.params["tag"]])


def _require(call: Call, row: Row[Any]) -> None:
    if call.params["tag"] not in row.tags:
        raise NotFound(f"Tag {call.params['tag']} could not be found.", kind="TagNotFound")
