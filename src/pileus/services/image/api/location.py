"""Locations: where an image's data is, set and seen by those who may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.db import Tx
from pileus.kernel.errors import ApiError, BadRequest, Conflict, Forbidden
from pileus.services.image import store, task_store
from pileus.services.image.api.image import Image, image_target
from pileus.services.image.domain import HASHES, Status
from pileus.services.image.driver import AddressRefused, StoreError
from pileus.services.image.state import ImageState
from pileus.services.image.work import LocationProgram

ALGORITHM = "sha512"
LONGEST_URL = 4096


class Validation(msgspec.Struct, omit_defaults=True):
    """What the user says that the data is."""

    checksum: str | None = None
    os_hash_algo: str | None = None
    os_hash_value: str | None = None

    def check(self, error: type[ApiError], algorithms: Sequence[str]) -> None:
        """Raises `error` where it can't be."""
        if (self.os_hash_algo is None) != (self.os_hash_value is None):
            raise error("os_hash_algo and os_hash_value must be given together.")
        if self.os_hash_algo is not None and self.os_hash_algo not in algorithms:
            raise error(f"os_hash_algo must be {' or '.join(algorithms)}, not {self.os_hash_algo}.")
        for name, value, digits in (
            ("checksum", self.checksum, HASHES["md5"]),
            ("os_hash_value", self.os_hash_value, HASHES[self.os_hash_algo or ALGORITHM]),
        ):
            if value is not None and (len(value) != digits or set(value.lower()) - set("0123456789abcdef")):
                raise error(f"{name} must have {digits} hexadecimal digits.")


class NewLocation(msgspec.Struct):
    """As it stands in a patch."""

    url: str
    metadata: dict[str, Any] = {}
    validation_data: Validation | UnsetType = UNSET


class Location(msgspec.Struct):
    """As services see it."""

    url: str
    metadata: dict[str, Any]


class AddLocation(msgspec.Struct):
    url: str
    validation_data: Validation | None = None


@dataclass(frozen=True)
class Located:
    """A new location whose data was asked for."""

    location: Mapping[str, Any]
    size_bytes: int | None


async def locate(call: Call, url: str, metadata: Mapping[str, Any]) -> Located:
    """400 where the address is none that data may be read from."""
    state: ImageState = call.runtime.state
    found = state.shelves.of_url(url) if len(url) <= LONGEST_URL else None
    if found is None:
        raise BadRequest(f"Invalid location: no store of this cloud reads from {url[:200]!r}.")
    try:
        size = await found.size_bytes(url)
    except StoreError as error:
        raise BadRequest(f"Invalid location: {error}") from error
    kept = {name: value for name, value in metadata.items() if name != "store"}
    return Located({"url": url, "store": found.name, "metadata": kept}, size)


# In a patch


def require_visible(call: Call, row: Row[Any], verb: str) -> None:
    """403 where locations are not shown, 409 where the image's state is none to change them in."""
    if not call.runtime.state.settings.show_locations:
        raise Forbidden(f"It's not allowed to {verb} locations if locations are invisible.")
    states = (Status.ACTIVE, Status.QUEUED) if verb != "remove" else (Status.ACTIVE,)
    if row.status not in states or row.task_id is not None:
        raise Conflict(f"It's not allowed to {verb} locations if image status is {row.status}.")


def added(
    call: Call, row: Row[Any], values: Mapping[str, Any], at: str, new: NewLocation, found: Located
) -> dict[str, Any]:
    """The columns that a further location changes."""
    call.enforce("set_image_location", image_target(row))
    locations = list(values.get("locations", row.locations))
    if any(each["url"] == new.url for each in locations):
        raise BadRequest(f"Invalid location: {new.url} is there already.")
    place = position(at, len(locations)) if at != "-" else len(locations)
    locations.insert(place, found.location)
    changed: dict[str, Any] = {"locations": locations}
    if new.validation_data is not UNSET:
        changed |= _validated(row, new.validation_data)
    if row.status == Status.QUEUED and "status" not in values:
        changed |= {"status": Status.ACTIVE, "size_bytes": found.size_bytes}
    return changed


def _validated(row: Row[Any], said: Validation) -> dict[str, Any]:
    said.check(Conflict, (ALGORITHM,))
    columns = {
        name: value.lower() if name != "os_hash_algo" else value
        for name, value in msgspec.structs.asdict(said).items()
        if value is not None
    }
    for name, value in columns.items():
        known = getattr(row, name)
        if known is not None and known != value:
            raise Conflict(f"{name} is already set with a different value.")
        if known is None and row.status != Status.QUEUED:
            raise Conflict(f"New value(s) for {name} may only be provided when image status is 'queued'.")
    return columns


def replaced(call: Call, row: Row[Any], new: Sequence[NewLocation]) -> list[dict[str, Any]]:
    """The same locations with other metadata; 400 where they are others."""
    if not new:
        raise Forbidden("Cannot set locations to empty list.")
    call.enforce("set_image_location", image_target(row))
    if [each.url for each in new] != [each["url"] for each in row.locations]:
        raise BadRequest(
            "Invalid locations: only their metadata can be replaced; add and remove them one by one."
        )
    return [
        {**old, "metadata": {name: value for name, value in each.metadata.items() if name != "store"}}
        for old, each in zip(row.locations, new, strict=True)
    ]


def removed(
    call: Call, row: Row[Any], locations: Sequence[Mapping[str, Any]], at: str
) -> list[Mapping[str, Any]]:
    """The others. What is removed from a store of ours is taken away by the image's strand."""
    call.enforce("delete_image_location", image_target(row))
    place = position(at, len(locations) - 1)
    if len(locations) == 1:
        raise Forbidden("Cannot remove last location in the image.")
    return [each for number, each in enumerate(locations) if number != place]


def position(text: str, most: int) -> int:
    """400 where it is no place in the list."""
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) <= most):
        raise BadRequest(f"Invalid position for a location: {text!r}.")
    return int(text)


# By themselves


@Image.member_route("GET", "/locations", policy="fetch_image_location")
def list_locations(call: Call, tx: Tx, row: Row[Any]) -> list[Location]:
    """Where an image's data is, for services."""
    return [Location(each["url"], {**each["metadata"], "store": each["store"]}) for each in row.locations]


@Image.member_route("POST", "/locations", policy=AUTHENTICATED, status=202, body=AddLocation)
async def add_location(call: Call, row: Row[Any], body: AddLocation) -> None:
    """Says where the data of an image is that has none yet. A task reads it, and holds it to what was said of it."""
    state: ImageState = call.runtime.state
    if row.status != Status.QUEUED or row.task_id is not None:
        raise Conflict(f"It's not allowed to add locations if image status is {row.status}.")
    call.enforce("add_image_location", image_target(row))
    found = state.shelves.of_url(body.url) if len(body.url) <= LONGEST_URL else None
    if found is None:
        if "service" in call.context.roles | call.context.service_roles:
            raise BadRequest(f"No store of this cloud reads from {body.url[:200]!r}.")
        raise Forbidden("http store must be enabled to use location API by normal user.")
    if body.validation_data is not None:
        body.validation_data.check(BadRequest, tuple(HASHES))
    try:
        state.fetcher.check(body.url)
    except AddressRefused as error:
        raise BadRequest(f"URI for add location does not pass filtering: {body.url}. {error}") from error
    await call.runtime.db.write(_add, call, row.id, body, found.name)


def _add(tx: Tx, call: Call, image_id: str, body: AddLocation, store_name: str) -> None:
    row = store.existing(tx, image_id)
    if row.status != Status.QUEUED or row.task_id is not None or row.upload_id is not None:
        raise Conflict(f"It's not allowed to add locations if image status is {row.status}.")
    said = body.validation_data
    algorithm = (said.os_hash_algo if said is not None else None) or ALGORITHM
    wanted = {
        "image_id": row.id,
        "loc_url": body.url,
        "validation_data": None if said is None else msgspec.to_builtins(said),
    }
    values = {
        "type": "location_import",
        "image_id": row.id,
        "project_id": call.context.project_id,
        "user_id": call.context.user_id,
        "request_id": call.request_id,
        "input": wanted,
        "progress": {"os_hash_algo": algorithm},
    }
    task = task_store.insert(tx, values)
    columns = {
        "task_id": task.id,
        "locations": [{"url": body.url, "store": store_name, "metadata": {}}],
        "copies": 0,
        # Who said what the data is waits until it is known to be that.
        "status": Status.IMPORTING if wanted["validation_data"] else Status.ACTIVE,
    }
    if not wanted["validation_data"] and call.runtime.state.settings.secure_hash:
        columns["os_hash_algo"] = algorithm
    store.change(tx, row.id, columns)
    call.runtime.work.begin(tx, LocationProgram, task.id, request_id=call.request_id)
