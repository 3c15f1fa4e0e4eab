"""What images need of a store: a place for bytes by name, written once, read often.

What is being written is not seen before `Writer.finish`; what `finish` has returned for is there for good.
All methods are idempotent in what they leave behind, and removing what is not there is no error.
`pileus.testing.contract.image` holds every store to this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

from pileus.kernel.errors import Unavailable


class StoreError(Unavailable):
    """The store could not do it; the message is for the user and names the cause. Who does not handle it answers 503."""


class StoreFull(StoreError):
    """There is no room for more."""


class AddressRefused(StoreError):
    """An address that users may not have us fetch from."""


class Writer(Protocol):
    """One object on its way in."""

    async def write(self, chunk: bytes) -> None:
        """The next bytes; returns when more may come, so that memory stays constant. Raises StoreFull."""

    async def finish(self) -> None:
        """All bytes have come: they are made durable and seen under their name, in place of what was there."""

    async def abort(self) -> None:
        """Nothing is left of what was written."""


class Store(Protocol):
    """A place for the data of images. Objects are named by ids; where `read_only`, by their addresses."""

    name: str
    """As users see it in `stores`."""
    kind: str
    """file, http, swift, s3."""
    read_only: bool
    """Whether data is only ever read from where users say that it is."""

    @property
    def properties(self) -> Mapping[str, Any]:
        """What administrators are told of it."""

    def url(self, object_id: str) -> str:
        """The address of an object, as image locations have it."""

    async def start(self) -> None:
        """Get ready."""

    async def close(self) -> None:
        """Let go of connections and threads; nothing is asked of it afterwards."""

    async def writer(self, object_id: str, attempt: str) -> Writer:
        """A new object; `attempt` tells two writers of one object apart."""

    def read(self, object_id: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `offset`, in chunks of up to a few MiB; raises StoreError where there is no such object."""

    async def size_bytes(self, object_id: str) -> int | None:
        """None where there is no such object, or where the store can't tell."""

    async def remove(self, object_id: str) -> None:
        """Leaves nothing of the object, nor of half-written attempts at it."""

    async def list_objects(self) -> list[str]:
        """The names of all objects that are there."""


@runtime_checkable
class Folder(Store, Protocol):
    """A store whose objects are files; the stage and the cache always are."""

    def path(self, object_id: str) -> Path:
        """Where an object is, for programs that work on files."""

    async def open(self, object_id: str) -> BinaryIO:
        """An object's bytes. Raises StoreError where there is no such object."""


class Fetcher(Protocol):
    """Reads what users name by address."""

    def check(self, url: str) -> None:
        """Raises AddressRefused for what can be seen to be forbidden without resolving names."""

    def fetch(
        self, url: str, *, headers: Mapping[str, str] | None = None, trusted: bool = False
    ) -> AsyncIterator[bytes]:
        """The bytes behind an address. Raises StoreError, AddressRefused. `trusted`: the cloud itself chose it."""


class Converter(Protocol):
    """Makes a disk image of one format from one of another."""

    async def convert(self, source: Path, source_format: str, target: Path, target_format: str) -> None:
        """Raises StoreError; cancelled, it leaves no process behind."""
