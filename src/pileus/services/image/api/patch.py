"""Changing an image by JSON patch (RFC 6902, and the older form of media type v2.0), one level deep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Conflict, Forbidden, UnsupportedMediaType
from pileus.services.image import store
from pileus.services.image.api.image import (
    COLUMNS,
    READ_ONLY,
    RESERVED,
    Image,
    check_properties,
    check_tags,
    check_visibility,
    emit,
    image_target,
)
from pileus.services.image.api.location import (
    Located,
    NewLocation,
    added,
    locate,
    removed,
    replaced,
    require_visible,
)
from pileus.services.image.domain import CONTAINER_FORMATS, DISK_FORMATS, VISIBILITIES, Status

MEDIA_TYPES = ("application/openstack-images-v2.1-json-patch", "application/openstack-images-v2.0-json-patch")
_TYPES: dict[str, Any] = {
    "name": str | None,
    "visibility": str,
    "protected": bool,
    "os_hidden": bool,
    "owner": str | None,
    "container_format": str | None,
    "disk_format": str | None,
    "min_disk": int,
    "min_ram": int,
    "tags": list[str],
}


@dataclass(frozen=True, slots=True)
class Change:
    verb: str
    name: str
    value: Any
    place: str = ""
    """Of a location: the last part of the path."""


@Image.update(policy="modify_image", method="PATCH", raw=True)
async def patch_image(call: Call, row: Row[Any]) -> Row[Any]:
    """Changes attributes and properties of an image."""
    media = (call.header("content-type") or "").partition(";")[0].strip()
    if media not in MEDIA_TYPES:
        raise UnsupportedMediaType(
            f"An image is changed with a body of media type {MEDIA_TYPES[0]}, not {media or 'none'}."
        )
    changes = read_patch(await call.body())
    located: dict[int, tuple[NewLocation, Located]] = {}
    for number, change in enumerate(changes):
        if change.name == "locations" and change.verb == "add":
            require_visible(call, row, "add")
            new = _converted(change.value, NewLocation)
            located[number] = new, await locate(call, new.url, new.metadata)
    return await call.runtime.db.write(_apply, call, row.id, changes, located)


def read_patch(raw: bytes) -> list[Change]:
    """The changes in order; 400 where it is no patch."""
    try:
        operations = msgspec.json.decode(raw, type=list[dict[str, Any]])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"Request body must be a JSON array of operation objects: {error}") from error
    return [_read_operation(operation) for operation in operations]


def _read_operation(operation: dict[str, Any]) -> Change:
    if "op" in operation:
        verb, path = operation["op"], operation.get("path")
    else:  # v2.0: {"replace": "/name", "value": …}
        verb = next((name for name in ("add", "replace", "remove") if name in operation), None)
        path = operation.get(verb) if verb is not None else None
    if verb not in ("add", "replace", "remove"):
        raise BadRequest("Operations must be one of 'add', 'replace', 'remove'.")
    if not isinstance(path, str) or not path.startswith("/") or len(path) < 2:
        raise BadRequest(f"The path of a change is text that begins with a slash, not {path!r}.")
    if "value" not in operation and verb != "remove":
        raise BadRequest(f"Operation '{verb}' requires a member named 'value'.")
    names = [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]
    if len(names) != (2 if names[0] == "locations" and verb != "replace" else 1):
        raise BadRequest(f"Invalid JSON pointer for this resource: '{path}'.")
    if "\0" in names[0] or "\0" in str(operation.get("value")):
        raise BadRequest("Neither names nor values may have NUL characters.")
    return Change(verb, names[0], operation.get("value"), names[-1])


def _apply(
    tx: Tx,
    call: Call,
    image_id: str,
    changes: list[Change],
    located: Mapping[int, tuple[NewLocation, Located]],
) -> Row[Any]:
    row = store.existing(tx, image_id)
    values: dict[str, Any] = {}
    properties = dict(row.properties)
    for number, change in enumerate(changes):
        if change.name == "locations":
            values |= _locations_changed(call, row, values, change, located.get(number))
            continue
        if change.name in READ_ONLY:
            raise Forbidden(f"Attribute '{change.name}' is read-only.")
        if change.name in RESERVED or change.name.startswith("os_glance"):
            raise Forbidden(f"Attribute '{change.name}' is reserved.")
        if change.name in COLUMNS:
            values[COLUMNS[change.name]] = _checked(call, row, change)
        elif change.verb == "add":
            properties[change.name] = change.value
        elif change.name not in properties:
            raise Conflict(f"Property {change.name} does not exist.")
        elif change.verb == "replace":
            properties[change.name] = change.value
        else:
            del properties[change.name]
    settings = call.runtime.state.settings
    if properties != row.properties:
        check_properties(properties, settings.max_properties, row.properties)
        values["properties"] = properties
    if "tags" in values:
        values["tags"] = sorted(set(values["tags"]))
        check_tags(values["tags"], settings.max_tags)
    if "locations" in values:
        shelves = call.runtime.state.shelves
        values["copies"] = sum(map(shelves.owned, values["locations"]))
        call.runtime.work.wake(tx, image_id)  # its strand takes away what no location names
    changed = store.change(tx, image_id, values)
    emit(call, tx, "update", changed)
    return changed


def _locations_changed(
    call: Call,
    row: Row[Any],
    values: Mapping[str, Any],
    change: Change,
    located: tuple[NewLocation, Located] | None,
) -> dict[str, Any]:
    require_visible(call, row, change.verb)
    if located is not None:
        return added(call, row, values, change.place, *located)
    if change.verb == "replace":
        return {"locations": replaced(call, row, _converted(change.value, list[NewLocation]))}
    return {"locations": removed(call, row, values.get("locations", row.locations), change.place)}


def _converted(value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"Invalid location: {error}") from error


def _checked(call: Call, row: Row[Any], change: Change) -> Any:
    name, value = change.name, change.value
    if change.verb == "remove":
        raise Forbidden(f"Property {name} may not be removed.")
    try:
        value = msgspec.convert(value, _TYPES[name])
    except msgspec.ValidationError as error:
        raise BadRequest(f"Provided object does not match schema 'image': {name}: {error}") from error
    allowed = {
        "visibility": VISIBILITIES,
        "container_format": CONTAINER_FORMATS,
        "disk_format": DISK_FORMATS,
    }.get(name)
    if allowed is not None and value is not None and value not in allowed:
        raise BadRequest(f"Invalid {name} {value!r}; it is one of {', '.join(allowed)}.")
    if (
        name in ("container_format", "disk_format")
        and row.status != Status.QUEUED
        and value != getattr(row, name)
    ):
        raise Forbidden(f"Attribute {name} can be only replaced for a queued image.")
    if name == "visibility" and value != row.visibility:
        check_visibility(call, value, image_target(row))
    if name == "owner" and value != row.project_id and not call.context.is_admin:
        raise Forbidden("Only an administrator gives an image to another project.")
    if isinstance(value, int) and not 0 <= value < 2**31:
        raise BadRequest(f"{name} must be from 0 to {2**31 - 1}.")
    if isinstance(value, str) and len(value) > 255:
        raise BadRequest(f"{name} has at most 255 characters.")
    if isinstance(value, list) and any(len(tag) > 255 for tag in value):
        raise BadRequest("A tag has at most 255 characters.")
    return value
