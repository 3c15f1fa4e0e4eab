"""The image that a server starts from, as the image service shows it."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.errors import ApiError, BadRequest

BASE = frozenset(
    [
        "id",
        "name",
        "status",
        "visibility",
        "owner",
        "size",
        "virtual_size",
        "checksum",
        "os_hash_algo",
        "os_hash_value",
        "disk_format",
        "container_format",
        "min_disk",
        "min_ram",
        "protected",
        "os_hidden",
        "created_at",
        "updated_at",
        "file",
        "self",
        "schema",
        "tags",
        "locations",
        "direct_url",
        "stores",
    ]
)
"""Attributes of every image; all others are properties."""
KEPT = ("disk_format", "container_format", "size", "min_disk", "min_ram", "virtual_size")


async def bootable_image(call: Call, image_id: str) -> dict[str, Any]:
    """What the server keeps of its image, kernel and ramdisk included; 400 where it can't be started from."""
    image = await _get(call, image_id)
    properties = {name: value for name, value in image.items() if name not in BASE and isinstance(value, str)}
    kept: dict[str, Any] = {**_kept(image), "name": image.get("name"), "properties": properties}
    parts = [name for name in ("kernel_id", "ramdisk_id") if properties.get(name)]
    for name, part in zip(
        parts, await asyncio.gather(*(_get(call, properties[p]) for p in parts)), strict=True
    ):
        kept[name] = properties[name]
        kept[name.removesuffix("_id")] = _kept(part)
    return kept


def _kept(image: dict[str, Any]) -> dict[str, Any]:
    kept = {name: image.get(name) for name in KEPT}
    kept["sha512"] = image.get("os_hash_value") if image.get("os_hash_algo") == "sha512" else None
    return kept


async def _get(call: Call, image_id: str) -> dict[str, Any]:
    try:
        image: dict[str, Any] = await call.runtime.needs.images.get(call.context, image_id)
    except ApiError as error:
        if error.status == 404:
            raise BadRequest(f"Can not find requested image: image {image_id} could not be found.") from error
        raise
    if image["status"] != "active":
        raise BadRequest(f"Image {image_id} is not active: it is {image['status']}.")
    return image


def check_fits(image: dict[str, Any], flavor: Row[Any]) -> None:
    """400 where the flavor is too small for the image."""
    if (image.get("min_ram") or 0) > flavor.memory_mib:
        raise BadRequest(
            f"Flavor's memory is too small for requested image: it has {flavor.memory_mib} MiB, "
            f"the image needs {image['min_ram']} MiB."
        )
    if flavor.root_gib == 0:
        return
    needed = max(
        image.get("min_disk") or 0, -(-(image.get("virtual_size") or image.get("size") or 0) // 2**30)
    )
    if needed > flavor.root_gib:
        raise BadRequest(
            f"Flavor's disk is too small for requested image: it has {flavor.root_gib} GiB, "
            f"the image needs {needed} GiB."
        )
