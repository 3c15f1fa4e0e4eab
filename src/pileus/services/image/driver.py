"""What images need of a store: a place for bytes by name, written once, read often.

What is being written is not seen before `Writer.finish`; what `finish` has returned for is there for good.
All methods are idempotent in what they leave behind, and removing what is not there is no error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


class StoreError(Exception):
    """The store could not do it; the message is for the user and names the cause."""


class StoreFull(StoreError):
    """There is no room for more."""


class Writer(Protocol):
    """One object on its way in."""

    async def write(self, chunk: bytes) -> None:
        """The next bytes; returns when more may come, so that memory stays constant. Raises StoreFull."""

    async def finish(self) -> None:
        """All bytes have come: they are made durable and seen under their name, in place of what was there."""

    async def abort(self) -> None:
        """Nothing is left of what was written."""


class Store(Protocol):
    """Seven verbs."""

    name: str
    """As users see it in `stores`."""

    async def start(self) -> None:
        """Get ready. What an earlier process left half-written may be cleared here."""

    async def writer(self, object_id: str, attempt: str) -> Writer:
        """A new object; `attempt` tells two writers of one object apart."""

    def read(self, object_id: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `offset`, in chunks of up to a few MiB; raises StoreError where there is no such object."""

    async def size_bytes(self, object_id: str) -> int | None:
        """None where there is no such object."""

    async def remove(self, object_id: str) -> None:
        """Leaves nothing of the object, nor of half-written attempts at it."""

    async def list_objects(self) -> list[str]:
        """The names of all objects that are there."""
