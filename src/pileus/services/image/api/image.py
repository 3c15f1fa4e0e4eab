"""Images: what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET
from sqlalchemy import ColumnElement, Row, bindparam, or_

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import Field, NonNegativeInt, Text255, Uuid, create, field, filter, sort
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import BadRequest, Conflict, Forbidden, NotFound
from pileus.kernel.http.reply import Reply
from pileus.kernel.ids import new_uuid
from pileus.services.image import cache_store, limits, store, task_store
from pileus.services.image.domain import (
    MEMBER_STATES,
    VISIBILITIES,
    ContainerFormat,
    DiskFormat,
    Shown,
    Status,
)
from pileus.services.image.model import images
from pileus.services.image.state import ImageState
from pileus.services.image.work import ImageProgram

Tag = Annotated[str, msgspec.Meta(max_length=255)]

_LIVE = images.c.status != Status.DELETED
_OWN = images.c.project_id == bindparam("viewer")
_VISIBLE = _LIVE & or_(_OWN, images.c.visibility.in_(("public", "community")), store.shared_with())
_LISTED = {
    (state, hidden): _LIVE
    & images.c.hidden.is_(hidden)
    & or_(_OWN, images.c.visibility == "public", store.shared_with(None if state == "all" else state))
    for state in (*MEMBER_STATES, "all")
    for hidden in (False, True)
}
_COMMUNITY = {h: _LIVE & images.c.hidden.is_(h) & (images.c.visibility == "community") for h in (False, True)}
_ALL = {hidden: _LIVE & images.c.hidden.is_(hidden) for hidden in (False, True)}
"""What lists show; hidden images only where they are asked for."""


def _size_bound(name: str) -> Any:
    def clause(call: Call, values: list[str]) -> tuple[ColumnElement[bool], Mapping[str, Any]]:
        text = values[-1]
        if not (text.isascii() and text.isdigit()):
            raise BadRequest(f"{name} is a number of bytes, not {text!r}.")
        return _SIZES[name], {name: min(int(text[:20]), 2**63 - 1)}

    return clause


def _tag_clause(call: Call, values: list[str]) -> ColumnElement[bool]:
    found = store.tagged(values[0])
    for tag in values[1:]:
        found &= store.tagged(tag)
    return found


def _visibility_clause(call: Call, values: list[str]) -> tuple[ColumnElement[bool], Mapping[str, Any]] | None:
    if values[-1] not in (*VISIBILITIES, "all"):
        raise BadRequest(
            f"Invalid visibility value: {values[-1]}; it is one of {', '.join((*VISIBILITIES, 'all'))}."
        )
    return None if values[-1] == "all" else (_WITH_VISIBILITY[values[-1]], {})


def _ignored(call: Call, values: list[str]) -> None:
    return None


_WITH_VISIBILITY = {each: images.c.visibility == each for each in VISIBILITIES}
_SIZES = {
    "size_min": images.c.size_bytes >= bindparam("size_min"),
    "size_max": images.c.size_bytes <= bindparam("size_max"),
}


def _locations(call: Call, row: Row[Any]) -> Any:
    if not _shows_locations(call, row):
        return UNSET
    return [
        {"url": each["url"], "metadata": {**each["metadata"], "store": each["store"]}}
        for each in row.locations
    ]


def _direct_url(call: Call, row: Row[Any]) -> Any:
    return row.locations[0]["url"] if row.locations and _shows_locations(call, row) else UNSET


def _shows_locations(call: Call, row: Row[Any]) -> bool:
    return call.allows("get_image_location", image_target(row))


def _stores(call: Call, row: Row[Any]) -> Any:
    locations = row.locations
    if not locations:
        return UNSET
    if len(locations) == 1:
        return locations[0]["store"]
    return ",".join(call.runtime.state.shelves.names(locations))


class Image(Resource, member="image", collection="images", table=images, extras="properties", kind="Image"):
    wide = True

    id: Uuid = field(create, filter, sort)
    name: Text255 | None = field(create, filter, sort, default=None)
    status: str = field(filter, sort)
    visibility: Shown = field(create, default="shared")
    protected: bool = field(create, filter, default=False)
    os_hidden: bool = field(create, default=False, column="hidden")
    owner: Text255 | None = field(create, filter, column="project_id")
    container_format: ContainerFormat | None = field(create, filter, sort, default=None)
    disk_format: DiskFormat | None = field(create, filter, sort, default=None)
    min_disk: NonNegativeInt = field(create, filter, sort, default=0, column="min_disk_gib")
    min_ram: NonNegativeInt = field(create, filter, sort, default=0, column="min_ram_mib")
    size: int | None = field(filter, sort, column="size_bytes")
    virtual_size: int | None = field(column="virtual_size_bytes")
    checksum: str | None = field(filter)
    os_hash_algo: str | None = field(filter)
    os_hash_value: str | None = field(filter)
    tags: list[Tag] = field(create, default=[])
    stores: str = field(render=_stores)
    locations: list[dict[str, Any]] = field(render=_locations)
    direct_url: str = field(render=_direct_url)
    created_at: datetime = field(filter, sort)
    updated_at: datetime = field(filter, sort)
    self: str = field(render=lambda call, row: f"/v2/images/{row.id}")
    file: str = field(render=lambda call, row: f"/v2/images/{row.id}/file")
    schema: str = field(render=lambda call, row: "/v2/schemas/image")

    filters = {
        "size_min": _size_bound("size_min"),
        "size_max": _size_bound("size_max"),
        "tag": _tag_clause,
        "visibility": _visibility_clause,
        "os_hidden": _ignored,
        "member_status": _ignored,
        "changes-since": _ignored,
    }

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        if call.context.is_admin:
            return _LIVE, {}
        return _VISIBLE, {"viewer": call.context.project_id}

    @classmethod
    def listed(cls, call: Call) -> Visibility:
        state = call.arg("member_status", "accepted") or ""
        if state not in (*MEMBER_STATES, "all"):
            raise BadRequest(
                f"Invalid member_status {state!r}; it is one of {', '.join(MEMBER_STATES)}, all."
            )
        hidden = (call.arg("os_hidden") or "false").lower()
        if hidden not in ("true", "false"):
            raise BadRequest(f"Invalid value {hidden!r} for the 'os_hidden' filter: it is true or false.")
        if call.arg("visibility") == "community":
            return _COMMUNITY[hidden == "true"], {}
        if call.context.is_admin and "member_status" not in call.query:
            return _ALL[hidden == "true"], {}
        return _LISTED[state, hidden == "true"], {"viewer": call.context.project_id}

    @classmethod
    def other_filter(cls, call: Call, name: str, values: Sequence[str]) -> ColumnElement[bool]:
        return store.having(name, values[-1])

    @classmethod
    def shown(cls, call: Call, view: str) -> Iterable[Field]:
        fields = super().shown(call, view)
        if _settings(call).show_locations:
            return fields
        return [each for each in fields if each.name not in ("locations", "direct_url")]

    @classmethod
    def refuse_read_only(cls, names: Sequence[str]) -> None:
        for name in names:
            what = "reserved" if name in RESERVED else "read-only"
            raise Forbidden(f"Attribute '{name}' is {what}.")

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return image_target(row)

    @classmethod
    def not_found(cls, key: str) -> NotFound:
        return NotFound(f"No image found with ID {key}")


def image_target(row: Row[Any], member_id: str | None = None) -> dict[str, Any]:
    """What policy sees of an image; what there is none of is absent, or nobody's image would be everybody's."""
    target = {"visibility": row.visibility, "image_id": row.id}
    if row.project_id is not None:
        target |= {"project_id": row.project_id, "owner": row.project_id}
    if member_id is not None:
        target["member_id"] = member_id
    return target


def _new_target(call: Call, body: Any) -> Mapping[str, Any]:
    owner = body.owner if body.owner is not UNSET else call.context.project_id
    return {"project_id": call.context.project_id if not call.context.is_admin else owner, "owner": owner}


@Image.create(policy="add_image", target=_new_target, prepare=limits.look_up)
def create_image(call: Call, tx: Tx, body: Any) -> Reply:
    """Makes a record; its data comes by `PUT …/file`."""
    limits.require(call, tx, call.context.project_id, image_count_total=1)
    check_visibility(call, body.visibility, {"project_id": call.context.project_id})
    check_properties(body.extra, _settings(call).max_properties)
    check_tags(body.tags, _settings(call).max_tags)
    values = {
        "id": body.id if body.id is not UNSET else new_uuid(),
        "project_id": body.owner if body.owner is not UNSET else call.project_id,
        "name": body.name,
        "status": Status.QUEUED,
        "visibility": body.visibility,
        "protected": body.protected,
        "hidden": body.os_hidden,
        "disk_format": body.disk_format,
        "container_format": body.container_format,
        "min_disk_gib": body.min_disk,
        "min_ram_mib": body.min_ram,
        "tags": sorted(set(body.tags)),
        "properties": body.extra,
        "locations": [],
        "copies": 0,
        "staged_bytes": 0,
        "created_at": tx.now,
        "updated_at": tx.now,
    }
    try:
        row = store.insert(tx, values)
    except Duplicate as error:
        raise Conflict(f"Image ID {values['id']} already exists!") from error
    call.runtime.work.begin(tx, ImageProgram, row.id, request_id=call.request_id)
    emit(call, tx, "create", row)
    headers = {
        "location": f"{call.base_url}/images/{row.id}",
        "openstack-image-import-methods": ",".join(_settings(call).import_methods),
        "openstack-image-store-ids": ",".join(call.runtime.state.shelves.by_name),
    }
    return Reply.json(Image.view(call)(row), 201, headers)


def _settings(call: Call) -> Any:
    state: ImageState = call.runtime.state
    return state.settings


def emit(call: Call, tx: Tx, what: str, row: Row[Any]) -> None:
    """Tells those who follow the owner's project."""
    call.runtime.events.emit(
        tx,
        f"image.{what}",
        project_id=row.project_id,
        resource_id=row.id,
        payload={"id": row.id, "name": row.name, "status": row.status},
        request_id=call.request_id,
    )


def check_visibility(call: Call, visibility: str, target: Mapping[str, Any]) -> None:
    """403 where the caller may not make an image seen that widely."""
    if visibility == "public":
        call.enforce("publicize_image", target)
    elif visibility == "community":
        call.enforce("communitize_image", target)


def check_properties(
    properties: Mapping[str, Any], most: int, known: Mapping[str, Any] | None = None
) -> None:
    """Those that are not `known` already."""
    for name, value in properties.items():
        if known is not None and name in known and known[name] == value:
            continue
        if name in RESERVED or name.startswith("os_glance"):
            raise Forbidden(f"Attribute '{name}' is reserved.")
        if not isinstance(value, str):
            raise BadRequest(f"Property {name} must be text, not {value!r}.")
        if len(name) > 255 or not name:
            raise BadRequest("The name of a property has 1 to 255 characters.")
    if len(properties) > most:
        raise BadRequest(f"An image has at most {most} properties.")


def check_tags(wanted: Sequence[str], most: int) -> None:
    if len(set(wanted)) > most:
        raise BadRequest(f"An image has at most {most} tags.")


RESERVED = frozenset({"locations", "deleted", "deleted_at", "direct_url", "stores", "backend"})
READ_ONLY = frozenset(
    {
        *(
            "status",
            "size",
            "virtual_size",
            "checksum",
            "os_hash_algo",
            "os_hash_value",
            "created_at",
            "updated_at",
        ),
        *("self", "file", "schema", "id"),
    }
)
"""What the cloud alone sets (Image API v2, image schema, `readOnly`)."""

COLUMNS = {
    "name": "name",
    "visibility": "visibility",
    "protected": "protected",
    "os_hidden": "hidden",
    "owner": "project_id",
    "container_format": "container_format",
    "disk_format": "disk_format",
    "min_disk": "min_disk_gib",
    "min_ram": "min_ram_mib",
    "tags": "tags",
}
"""What a client may change, and where it is kept; all else is a property."""


@Image.delete(policy="delete_image")
def delete_image(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes an image: gone at once for everybody, its data soon."""
    if row.protected:
        raise Forbidden(f"Image {row.id} is protected and cannot be deleted.")
    emit(call, tx, "delete", store.change(tx, row.id, {"status": Status.DELETED}))
    for task_id in task_store.unended(tx, row.id):
        call.runtime.work.destroy(tx, task_id, request_id=call.request_id)
    for entry in cache_store.of_image(tx, row.id):
        cache_store.delete(tx, entry.id)
        call.runtime.work.destroy(tx, entry.id, request_id=call.request_id)
    call.runtime.work.destroy(tx, row.id, request_id=call.request_id)


Image.show(policy="get_image")
Image.list(policy="get_images")


def _reached(call: Call, tx: Tx, row: Row[Any], rule: str, wanted: Status, froms: tuple[Status, ...]) -> None:
    call.enforce(rule, image_target(row))
    if row.status not in (*froms, wanted):
        raise Forbidden(f"Not allowed to {rule} image in status '{row.status}'.")
    store.change(tx, row.id, {"status": wanted})


@Image.member_route(
    "POST", "/actions/deactivate", policy=AUTHENTICATED, status=204, body=msgspec.Raw, raw=True
)
def deactivate(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Keeps an image's data from all but administrators."""
    _reached(call, tx, row, "deactivate", Status.DEACTIVATED, (Status.ACTIVE,))


@Image.member_route(
    "POST", "/actions/reactivate", policy=AUTHENTICATED, status=204, body=msgspec.Raw, raw=True
)
def reactivate(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Gives the data to all again."""
    _reached(call, tx, row, "reactivate", Status.ACTIVE, (Status.DEACTIVATED,))
