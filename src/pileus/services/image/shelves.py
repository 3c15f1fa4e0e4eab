"""The stores of a cloud: which there are, in what order, and where in them an image's data is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pileus.services.image.driver import Folder, Store, StoreError


@dataclass(frozen=True)
class Shelf:
    """A store, and what users are told of it."""

    store: Store
    description: str = ""
    weight: int = 0
    """Data is read from the heaviest store that has it."""


class Shelves:
    """All stores by name, heaviest first; where weights are equal, as they were given."""

    def __init__(self, shelves: Sequence[Shelf], default: str) -> None:
        ordered = sorted(shelves, key=lambda shelf: -shelf.weight)
        self.by_name: Mapping[str, Shelf] = {shelf.store.name: shelf for shelf in ordered}
        if default not in self.by_name or self.by_name[default].store.read_only:
            raise ValueError(f"the default store {default!r} is none that can be written to")
        self.default = default

    def store(self, name: str) -> Store:
        """Raises StoreError where the cloud has no such store any more."""
        if name not in self.by_name:
            raise StoreError(f"This cloud has no store {name!r}; it has {', '.join(self.by_name)}.")
        return self.by_name[name].store

    @property
    def writable(self) -> list[str]:
        return [name for name, shelf in self.by_name.items() if not shelf.store.read_only]

    def of_url(self, url: str) -> Store | None:
        """The read-only store that serves addresses of this scheme."""
        scheme = urlsplit(url).scheme.lower()
        for shelf in self.by_name.values():
            if shelf.store.read_only and scheme in (shelf.store.kind, f"{shelf.store.kind}s"):
                return shelf.store
        return None

    def ranked(self, locations: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The locations, heaviest store first."""
        return sorted(locations, key=lambda each: -self._weight(each["store"]))

    def names(self, locations: Sequence[Mapping[str, Any]]) -> list[str]:
        """The stores of these locations, heaviest first, each once."""
        return list(dict.fromkeys(each["store"] for each in self.ranked(locations)))

    def _weight(self, name: str) -> int:
        shelf = self.by_name.get(name)
        return -(2**31) if shelf is None else shelf.weight

    def location(self, name: str, image_id: str) -> dict[str, Any]:
        """Of an image's data in a store of ours."""
        return {"url": self.store(name).url(image_id), "store": name, "metadata": {}}

    def owned(self, location: Mapping[str, Any]) -> bool:
        """Whether the data there is ours, to be removed with the image."""
        shelf = self.by_name.get(location["store"])
        return shelf is not None and not shelf.store.read_only

    def read(
        self, image_id: str, location: Mapping[str, Any], offset: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """An image's bytes at a location."""
        store = self.store(location["store"])
        return store.read(location["url"] if store.read_only else image_id, offset, length)

    def folder(self, location: Mapping[str, Any]) -> Folder | None:
        """The store at a location, where images are files of their own there."""
        store = self.store(location["store"])
        return store if isinstance(store, Folder) else None

    async def remove(self, image_id: str) -> None:
        """Nothing is left of the image in any store."""
        for shelf in self.by_name.values():
            if not shelf.store.read_only:
                await shelf.store.remove(image_id)

    async def start(self) -> None:
        for shelf in self.by_name.values():
            await shelf.store.start()

    async def close(self) -> None:
        for shelf in self.by_name.values():
            await shelf.store.close()
