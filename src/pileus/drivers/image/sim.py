"""Images in memory. The world outlives the driver, as files outlive a process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pileus.services.image.driver import StoreError, StoreFull

READ_BYTES = 1024 * 1024


@dataclass
class World:
    """What is stored, and what is half-written, by name."""

    objects: dict[str, bytes] = field(default_factory=dict)
    parts: dict[tuple[str, str], bytearray] = field(default_factory=dict)
    capacity_bytes: int = 2**40

    def used_bytes(self) -> int:
        return sum(map(len, self.objects.values())) + sum(map(len, self.parts.values()))


class SimWriter:
    def __init__(self, world: World, object_id: str, attempt: str) -> None:
        self._world = world
        self._key = (object_id, attempt)
        world.parts[self._key] = bytearray()

    async def write(self, chunk: bytes) -> None:
        if self._world.used_bytes() + len(chunk) > self._world.capacity_bytes:
            raise StoreFull("There is no room left in memory for the image.")
        self._world.parts[self._key] += chunk

    async def finish(self) -> None:
        self._world.objects[self._key[0]] = bytes(self._world.parts.pop(self._key))

    async def abort(self) -> None:
        self._world.parts.pop(self._key, None)


class SimStore:
    kind = "sim"
    read_only = False

    def __init__(self, world: World, name: str = "file") -> None:
        self.name = name
        self._world = world

    @property
    def properties(self) -> Mapping[str, Any]:
        return {}

    def url(self, object_id: str) -> str:
        return f"sim://{self.name}/{object_id}"

    def path(self, object_id: str) -> Path:
        raise StoreError("What is in memory is no file.")

    async def start(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def writer(self, object_id: str, attempt: str) -> SimWriter:
        return SimWriter(self._world, object_id, attempt)

    async def read(self, object_id: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if object_id not in self._world.objects:
            raise StoreError(f"Store {self.name} has no data of image {object_id}.")
        data = self._world.objects[object_id]
        end = len(data) if length is None else offset + length
        for at in range(offset, end, READ_BYTES):
            if at >= len(data):
                break
            yield data[at : min(at + READ_BYTES, end)]
        if end > len(data):
            raise StoreError(f"The data of image {object_id} ends too early.")

    async def size_bytes(self, object_id: str) -> int | None:
        data = self._world.objects.get(object_id)
        return None if data is None else len(data)

    async def remove(self, object_id: str) -> None:
        self._world.objects.pop(object_id, None)
        for key in [key for key in self._world.parts if key[0] == object_id]:
            del self._world.parts[key]

    async def list_objects(self) -> list[str]:
        return list(self._world.objects)
