"""A server's metadata and tags."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Meta
from sqlalchemy import Row

from pileus.kernel.api.answer import NOTHING
from pileus.kernel.api.bodies import Body
from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import field
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, NotFound, OverQuota
from pileus.kernel.http.reply import Reply
from pileus.services.compute.api.server.actions import check_state, check_unlocked
from pileus.services.compute.api.server.resource import Server
from pileus.services.compute.api.types import Metadata, Tag
from pileus.services.compute.quotas import QUOTAS
from pileus.services.compute.store import server as store
from pileus.services.compute.versions import V

_decode = msgspec.json.Decoder().decode
METADATA = "os_compute_api:server-metadata"
TAGS = "os_compute_api:os-server-tags"
MOST_TAGS = 50


class AllMetadata(Body):
    metadata: Metadata = field(required=True)


class OneMetadata(Body):
    meta: Metadata = field(required=True)


class MetadataAnswer(msgspec.Struct):
    metadata: dict[str, str]


class ItemAnswer(msgspec.Struct):
    """One item, by its name."""

    meta: dict[str, str]


@Server.member_route("GET", "/metadata", policy=f"{METADATA}:index")
def list_metadata(call: Call, tx: Tx, row: Row[Any]) -> MetadataAnswer:
    """Lists a server's metadata."""
    return MetadataAnswer(row.metadata)


@Server.member_route("GET", "/metadata/{key}", policy=f"{METADATA}:show")
def show_metadata(call: Call, tx: Tx, row: Row[Any]) -> ItemAnswer:
    """Shows one item."""
    key = call.params["key"]
    return ItemAnswer({key: _item(row, key)})


@Server.member_route("POST", "/metadata", policy=f"{METADATA}:create", body=AllMetadata)
def add_metadata(call: Call, tx: Tx, row: Row[Any], body: Any) -> MetadataAnswer:
    """Adds items, or changes those of the same names."""
    return MetadataAnswer(_write(call, tx, row, {**_decode(row.metadata), **body.metadata}))


@Server.member_route("PUT", "/metadata", policy=f"{METADATA}:update_all", body=AllMetadata)
def replace_metadata(call: Call, tx: Tx, row: Row[Any], body: Any) -> MetadataAnswer:
    """Replaces all items."""
    return MetadataAnswer(_write(call, tx, row, body.metadata))


@Server.member_route("PUT", "/metadata/{key}", policy=f"{METADATA}:update", body=OneMetadata)
def set_metadata(call: Call, tx: Tx, row: Row[Any], body: Any) -> ItemAnswer:
    """Sets one item."""
    if list(body.meta) != [call.params["key"]]:
        raise BadRequest("Request body must have exactly one item, of the name in the path.")
    _write(call, tx, row, {**_decode(row.metadata), **body.meta})
    return ItemAnswer(body.meta)


@Server.member_route("DELETE", "/metadata/{key}", policy=f"{METADATA}:delete", status=204)
def delete_metadata(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Removes one item."""
    key = call.params["key"]
    _item(row, key)
    _write(call, tx, row, {name: value for name, value in _decode(row.metadata).items() if name != key})


def _item(row: Row[Any], key: str) -> str:
    items: dict[str, str] = _decode(row.metadata)
    if key not in items:
        raise NotFound("Metadata item was not found")
    return items[key]


def _write(call: Call, tx: Tx, row: Row[Any], items: dict[str, str]) -> dict[str, str]:
    check_unlocked(call, row)
    check_state(row, "update_metadata", busy=(row.task_state,) if row.task_state else ())
    limit = QUOTAS.limits(tx, row.project_id)["metadata_items"]
    if 0 <= limit < len(items):
        raise OverQuota(f"Maximum number of metadata items exceeds {limit}", status=403)
    store.update(tx, row.id, metadata=items)
    return items


class AllTags(Body):
    tags: Annotated[list[Tag], Meta(max_length=MOST_TAGS)] = field(required=True)


class TagsAnswer(msgspec.Struct):
    tags: list[str]


@Server.member_route("GET", "/tags", policy=f"{TAGS}:index", since=V.SERVER_TAGS)
def list_tags(call: Call, tx: Tx, row: Row[Any]) -> TagsAnswer:
    """Lists a server's tags."""
    return TagsAnswer(row.tags)


@Server.member_route("PUT", "/tags", policy=f"{TAGS}:update_all", body=AllTags, since=V.SERVER_TAGS)
def replace_tags(call: Call, tx: Tx, row: Row[Any], body: Any) -> TagsAnswer:
    """Replaces all tags."""
    return TagsAnswer(_write_tags(call, tx, row, body.tags))


@Server.member_route("DELETE", "/tags", policy=f"{TAGS}:delete_all", status=204, since=V.SERVER_TAGS)
def delete_tags(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Removes all tags."""
    _write_tags(call, tx, row, [])


@Server.member_route("GET", "/tags/{tag}", policy=f"{TAGS}:show", status=204, since=V.SERVER_TAGS)
def show_tag(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Tells whether the server has a tag."""
    _own_tag(call, row)


@Server.member_route(
    "PUT",
    "/tags/{tag}",
    policy=f"{TAGS}:update",
    status=201,
    raw=True,
    since=V.SERVER_TAGS,
    answers=NOTHING,
    also={204: NOTHING},
)
def add_tag(call: Call, tx: Tx, row: Row[Any]) -> Reply:
    """Adds one tag; 204 where the server has it already."""
    tag = call.params["tag"]
    try:
        msgspec.convert(tag, Tag)
    except msgspec.ValidationError as error:
        raise BadRequest(
            f"Tag {tag!r} is not possible: at most 60 characters, no comma, no slash."
        ) from error
    tags: list[str] = _decode(row.tags)
    if tag in tags:
        return Reply(204)
    if len(tags) >= MOST_TAGS:
        raise BadRequest(f"The number of tags exceeded the per-server limit {MOST_TAGS}")
    _write_tags(call, tx, row, [*tags, tag])
    location = f"{call.base_url}/servers/{row.id}/tags/{quote(tag, safe='')}"
    return Reply(201, headers={"location": location})


@Server.member_route("DELETE", "/tags/{tag}", policy=f"{TAGS}:delete", status=204, since=V.SERVER_TAGS)
def delete_tag(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Removes one tag."""
    tag = _own_tag(call, row)
    _write_tags(call, tx, row, [each for each in _decode(row.tags) if each != tag])


def _own_tag(call: Call, row: Row[Any]) -> str:
    tag = call.params["tag"]
    if tag not in _decode(row.tags):
        raise NotFound(f"Server {row.id} has no tag '{tag}'")
    return tag


def _write_tags(call: Call, tx: Tx, row: Row[Any], tags: list[str]) -> list[str]:
    check_unlocked(call, row)
    kept = sorted(set(tags))
    store.update(tx, row.id, tags=kept)
    return kept
