"""The image service in memory."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from pileus.kernel.clock import Clock
from pileus.kernel.context import Context
from pileus.kernel.errors import Conflict, NotFound
from pileus.kernel.ids import new_uuid
from pileus.services.compute.needs import Item
from pileus.testing.clock import MOMENT


@dataclass
class FakeImages:
    clock: Clock
    images_by_id: dict[str, Item] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)

    def add(self, content: bytes = b"disk", **more: Any) -> str:
        image_id = new_uuid()
        self.contents[image_id] = content
        self.images_by_id[image_id] = {
            "id": image_id,
            "name": "micro",
            "status": "active",
            "disk_format": "raw",
            "container_format": "bare",
            "size": len(content),
            "min_disk": 0,
            "min_ram": 0,
            "created_at": "2030-01-01T00:00:00Z",
            "updated_at": "2030-01-01T00:00:00Z",
            "os_hash_algo": "sha512",
            "os_hash_value": hashlib.sha512(content).hexdigest(),
            **more,
        }
        return image_id

    async def get(self, context: Context, image_id: str) -> Item:
        await self.clock.sleep(MOMENT)
        if image_id not in self.images_by_id:
            raise NotFound(f"No image found with ID {image_id}")
        return self.images_by_id[image_id]

    async def images(self, context: Context, **query: Any) -> list[Item]:
        await self.clock.sleep(MOMENT)
        return [image for image in self.images_by_id.values() if query.get("name") in (None, image["name"])]

    async def update(self, context: Context, image_id: str, changes: list[Item]) -> Item:
        image = await self.get(context, image_id)
        for change in changes:
            name = change["path"].removeprefix("/").replace("~1", "/").replace("~0", "~")
            if change["op"] == "remove":
                del image[name]
            else:
                image[name] = change["value"]
        return image

    async def create(self, context: Context, values: Item) -> Item:
        await self.clock.sleep(MOMENT)
        image_id = new_uuid()
        self.images_by_id[image_id] = {"id": image_id, "status": "queued", **values}
        return self.images_by_id[image_id]

    async def upload(self, context: Context, image_id: str, chunks: AsyncIterator[bytes]) -> None:
        image = await self.get(context, image_id)
        if image["status"] != "queued":
            raise Conflict(f"Image {image_id} is {image['status']}.")
        content = b"".join([chunk async for chunk in chunks])
        await self.clock.sleep(MOMENT)
        self.contents[image_id] = content
        image.update(status="active", size=len(content))

    async def delete(self, context: Context, image_id: str) -> None:
        del self.images_by_id[(await self.get(context, image_id))["id"]]

    async def download(self, image_id: str) -> AsyncIterator[bytes]:
        await self.clock.sleep(MOMENT)
        yield self.contents[image_id]
