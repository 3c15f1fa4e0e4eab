"""Images as the compute API once had them: the image service's, gone since NO_PROXIES, their metadata since
NO_IMAGE_METADATA."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.kernel.errors import ApiError, BadRequest, NotFound
from pileus.services.compute.api.server.image import BASE
from pileus.services.compute.api.server.metadata import AllMetadata, ItemAnswer, MetadataAnswer, OneMetadata
from pileus.services.compute.links import member_links
from pileus.services.compute.needs import Item
from pileus.services.compute.versions import V

routes = Routes()
UNTIL: Final = V.NO_PROXIES.previous
METADATA_UNTIL: Final = V.NO_IMAGE_METADATA.previous
STATUSES: Final = {
    "active": "ACTIVE",
    "queued": "SAVING",
    "saving": "SAVING",
    "uploading": "SAVING",
    "importing": "SAVING",
    "deleted": "DELETED",
    "pending_delete": "DELETED",
    "killed": "ERROR",
}
_PROGRESS: Final = {"queued": 25, "saving": 50, "active": 100}
_FILTERS: Final = {
    "name": "name",
    "limit": "limit",
    "marker": "marker",
    "minDisk": "min_disk",
    "minRam": "min_ram",
}
"""Those of the compute API, as the image service calls them."""


class BriefImage(msgspec.Struct):
    id: str
    name: str | None
    links: list[dict[str, str]]


class ServerLink(msgspec.Struct):
    id: str
    links: list[dict[str, str]]


class Image(BriefImage, rename={"min_ram": "minRam", "min_disk": "minDisk"}, kw_only=True):
    """With the server that it was made of, where it was."""

    min_ram: int
    min_disk: int
    metadata: dict[str, str]
    created: str
    updated: str
    status: str
    progress: int
    size: int | None = msgspec.field(name="OS-EXT-IMG-SIZE:size")
    server: ServerLink | UnsetType = UNSET
    disk_config: str | UnsetType = msgspec.field(name="OS-DCF:diskConfig", default=UNSET)


class BriefImagesAnswer(msgspec.Struct):
    images: list[BriefImage]


class ImagesAnswer(msgspec.Struct):
    images: list[Image]


class ImageAnswer(msgspec.Struct):
    image: Image


@routes.add("GET", "/images", policy=AUTHENTICATED, until=UNTIL)
async def list_images(call: Call) -> BriefImagesAnswer:
    """Lists images, by name and id."""
    found = await _listed(call)
    return BriefImagesAnswer([BriefImage(each["id"], each["name"], _links(call, each)) for each in found])


@routes.add("GET", "/images/detail", policy=AUTHENTICATED, until=UNTIL)
async def list_images_in_detail(call: Call) -> ImagesAnswer:
    """Lists images."""
    return ImagesAnswer([_shown(call, each) for each in await _listed(call)])


@routes.add("GET", "/images/{image}", policy=AUTHENTICATED, until=UNTIL)
async def show_image(call: Call) -> ImageAnswer:
    """Shows an image."""
    return ImageAnswer(_shown(call, await _find(call)))


@routes.add("DELETE", "/images/{image}", policy=AUTHENTICATED, status=204, until=UNTIL)
async def delete_image(call: Call) -> None:
    """Removes an image."""
    image = await _find(call)
    await call.runtime.needs.images.delete(call.context, image["id"])


@routes.add("GET", "/images/{image}/metadata", policy=AUTHENTICATED, until=METADATA_UNTIL)
async def list_metadata(call: Call) -> MetadataAnswer:
    """Lists an image's metadata: its properties, as the image service has them."""
    return MetadataAnswer(_properties(await _find(call)))


@routes.add("POST", "/images/{image}/metadata", policy=AUTHENTICATED, body=AllMetadata, until=METADATA_UNTIL)
async def add_metadata(call: Call, body: Any) -> MetadataAnswer:
    """Adds items, or changes those of the same names."""
    image = await _find(call)
    return MetadataAnswer(await _change(call, image, {**_properties(image), **body.metadata}))


@routes.add("PUT", "/images/{image}/metadata", policy=AUTHENTICATED, body=AllMetadata, until=METADATA_UNTIL)
async def replace_metadata(call: Call, body: Any) -> MetadataAnswer:
    """Replaces all items."""
    return MetadataAnswer(await _change(call, await _find(call), body.metadata))


@routes.add("GET", "/images/{image}/metadata/{key}", policy=AUTHENTICATED, until=METADATA_UNTIL)
async def show_metadata(call: Call) -> ItemAnswer:
    """Shows one item."""
    key = call.params["key"]
    return ItemAnswer({key: _item(await _find(call), key)})


@routes.add(
    "PUT", "/images/{image}/metadata/{key}", policy=AUTHENTICATED, body=OneMetadata, until=METADATA_UNTIL
)
async def set_metadata(call: Call, body: Any) -> ItemAnswer:
    """Sets one item."""
    if list(body.meta) != [call.params["key"]]:
        raise BadRequest("Request body must have exactly one item, of the name in the path.")
    image = await _find(call)
    await _change(call, image, {**_properties(image), **body.meta})
    return ItemAnswer(body.meta)


@routes.add(
    "DELETE", "/images/{image}/metadata/{key}", policy=AUTHENTICATED, status=204, until=METADATA_UNTIL
)
async def delete_metadata(call: Call) -> None:
    """Removes one item."""
    image, key = await _find(call), call.params["key"]
    _item(image, key)
    left = {name: value for name, value in _properties(image).items() if name != key}
    await _change(call, image, left)


async def _find(call: Call) -> Item:
    image_id = call.params["image"]
    try:
        found: Item = await call.runtime.needs.images.get(call.context, image_id)
    except ApiError as error:
        if error.status in (400, 404):
            raise NotFound(f"Image not found: {image_id}.") from error
        raise
    return found


async def _listed(call: Call) -> list[Item]:
    query = {theirs: said for ours, theirs in _FILTERS.items() if (said := call.arg(ours)) is not None}
    status = call.arg("status")
    if status is not None:
        query["status"] = f"in:{','.join(_named(status))}" if _named(status) else "in:unknown"
    if (server := call.arg("server")) is not None:
        query["instance_uuid"] = server.rpartition("/")[2]
    if (kind := call.arg("type")) is not None:
        query["image_type"] = kind
    if (since := call.arg("changes-since")) is not None:
        query["updated_at"] = f"gte:{since}"
    try:
        found: list[Item] = await call.runtime.needs.images.images(call.context, **query)
    except ApiError as error:
        if error.status in (400, 404):  # a marker or a time that is none
            raise BadRequest(error.message) from error
        raise
    return found


def _named(status: str) -> list[str]:
    """What the image service calls a status of the compute API."""
    return [theirs for theirs, ours in STATUSES.items() if ours == status.upper()]


def _properties(image: Item) -> dict[str, str]:
    return {name: value for name, value in image.items() if name not in BASE and isinstance(value, str)}


def _item(image: Item, key: str) -> str:
    properties = _properties(image)
    if key not in properties:
        raise NotFound("Metadata item was not found")
    return properties[key]


async def _change(call: Call, image: Item, wanted: dict[str, str]) -> dict[str, str]:
    """The properties as they are after the change."""
    held = _properties(image)
    for name in wanted:
        if name in BASE:
            raise BadRequest(f"Invalid metadata: {name} is an attribute of every image, not a property.")
    changes: list[Item] = [
        {"op": "replace" if name in held else "add", "path": _path(name), "value": value}
        for name, value in wanted.items()
        if held.get(name) != value
    ]
    changes += [{"op": "remove", "path": _path(name)} for name in held if name not in wanted]
    if not changes:
        return held
    try:
        return _properties(await call.runtime.needs.images.update(call.context, image["id"], changes))
    except ApiError as error:
        if error.status == 409:
            raise BadRequest(error.message) from error
        raise


def _path(name: str) -> str:
    """A JSON pointer (RFC 6901)."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _links(call: Call, image: Item) -> list[dict[str, str]]:
    return member_links(call, "images", image["id"])


def _shown(call: Call, image: Item) -> Image:
    properties = _properties(image)
    shown = Image(
        id=image["id"],
        name=image["name"],
        min_ram=image.get("min_ram") or 0,
        min_disk=image.get("min_disk") or 0,
        metadata=properties,
        created=image["created_at"],
        updated=image["updated_at"],
        status=STATUSES.get(image["status"], "UNKNOWN"),
        progress=_PROGRESS.get(image["status"], 0),
        size=image.get("size"),
        links=_links(call, image),
    )
    if server_id := properties.get("instance_uuid"):
        shown.server = ServerLink(server_id, member_links(call, "servers", server_id))
    if "auto_disk_config" in properties:
        automatic = properties["auto_disk_config"].lower() in ("true", "1", "yes", "on", "t", "y")
        shown.disk_config = "AUTO" if automatic else "MANUAL"
    return shown
