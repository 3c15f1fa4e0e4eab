"""Images that stay where they are, on anybody's web server: read, never written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from pileus.drivers.image.fetch import HttpFetcher, content_length
from pileus.services.image.driver import StoreError, Writer


class HttpStore:
    """Objects are named by their addresses."""

    kind = "http"
    read_only = True

    def __init__(self, name: str, fetcher: HttpFetcher) -> None:
        self.name = name
        self._fetcher = fetcher

    @property
    def properties(self) -> Mapping[str, Any]:
        return {}

    def url(self, object_id: str) -> str:
        return object_id

    async def start(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def writer(self, object_id: str, attempt: str) -> Writer:
        raise StoreError(f"Store {self.name} is only read from.")

    async def read(self, object_id: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if length == 0:
            return
        headers = {}
        if offset or length is not None:
            last = "" if length is None else str(offset + length - 1)
            headers["range"] = f"bytes={offset}-{last}"
        async with self._fetcher.open("GET", object_id, headers=headers) as response:
            if response.status not in (200, 206):
                raise StoreError(f"{object_id} answered {response.status}.")
            # A server may give all where a part was asked for.
            skip = offset if response.status == 200 else 0
            left = length
            async for chunk in response.aiter_stream():
                if skip >= len(chunk):
                    skip -= len(chunk)
                    continue
                wanted = chunk[skip:] if left is None else chunk[skip : skip + left]
                skip = 0
                if left is not None:
                    left -= len(wanted)
                yield wanted
                if left == 0:
                    return
            if left:
                raise StoreError(f"The data at {object_id} ends too early.")

    async def size_bytes(self, object_id: str) -> int | None:
        async with self._fetcher.open("HEAD", object_id) as response:
            if response.status == 404:
                raise StoreError(f"There is nothing at {object_id}.")
            if response.status not in (200, 405):
                raise StoreError(f"{object_id} answered {response.status}.")
            return content_length(response) if response.status == 200 else None

    async def remove(self, object_id: str) -> None:
        return None

    async def list_objects(self) -> list[str]:
        return []
