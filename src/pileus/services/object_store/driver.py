"""What objects need of a device: versions of named bytes, of which the newest counts.

What a method has returned for is durable. A version is seen whole or not at all. Of two versions of one name the one with
the later timestamp is the object, in whatever order they come; a deletion is a version, too. Names come as paths
(`account/container/object`) with their hash, the `key`, under which they are found.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from pileus.kernel.errors import Unavailable
from pileus.kernel.http.reply import OpenFile
from pileus.lib.timestamp import Timestamp

RECLAIM_SECONDS = 7 * 24 * 3600.0
"""For so long a deletion is remembered."""


class DeviceError(Unavailable):
    """The device could not do it; the message names the cause. Nothing can be said of what was asked for.

    A client that nobody told otherwise gets a 503.
    """


class DeviceFull(DeviceError):
    """There is no room for more."""


class Superseded(Exception):
    """There is a version as new or newer: `newest` is its timestamp, `deleted` whether it is a deletion."""

    def __init__(self, newest: Timestamp, *, deleted: bool) -> None:
        super().__init__(f"there is a version of {newest.internal}")
        self.newest = newest
        self.deleted = deleted


class Missing(Exception):
    """There is no object of that name; `deleted_at` says since when, where that is known."""

    def __init__(self, deleted_at: Timestamp | None = None) -> None:
        super().__init__("there is no such object")
        self.deleted_at = deleted_at


class Version(NamedTuple):
    """The newest version of an object, or its deletion."""

    path: str
    timestamp: Timestamp
    """Of the data."""
    changed: Timestamp
    """Of the metadata: the same, or later."""
    size_bytes: int
    metadata: bytes
    """As it was handed in; devices do not look into it."""
    deleted: bool
    body: bytes | None
    """All of it, where the object is small; None: `read` it."""
    below: Any = None
    """What a device that stands before another needs to `read` the body again; nobody else looks at it."""


class ObjectWriter(Protocol):
    """One object on its way in."""

    async def write(self, chunk: bytes | memoryview) -> None:
        """The next bytes, which stay as they are; returns when more may come, so that memory stays constant.

        Raises DeviceFull.
        """

    async def finish(self, timestamp: Timestamp, metadata: bytes) -> None:
        """All bytes have come: they are durable and the object's, when this returns. Raises Superseded."""

    async def abort(self) -> None:
        """Nothing is left of what was written."""


class Abortable(Protocol):
    async def abort(self) -> None: ...


W = TypeVar("W", bound=Abortable)


@asynccontextmanager
async def whole_or_nothing(writer: W) -> AsyncIterator[W]:
    """What fails within, or is cancelled, aborts it."""
    try:
        yield writer
    except BaseException:
        await writer.abort()
        raise


Told = Callable[[Version], None]


@runtime_checkable
class OnFiles(Protocol):
    """A device of which large objects are files of this host, with the object's bytes at their beginning."""

    def opened(self, key: bytes, version: Version) -> OpenFile | None:
        """A version that `find` gave; None where it has no file. Raises DeviceError where it is gone."""


class ObjectDevice(Protocol):
    """A dozen verbs over one disk."""

    async def start(self, told: Told, since: str) -> None:
        """Finds what is there. What an earlier process left half-written is cleared.

        `told` hears of every version once it is durable and the object, in order; first of those after the mark `since`,
        some of them again perhaps. An empty mark means from the beginning.
        """

    def mark(self) -> str:
        """What `told` has heard of so far."""

    async def close(self) -> None:
        """What is under way is finished."""

    def find(self, key: bytes) -> Awaitable[Version | None]:
        """The newest version, deletions included."""

    async def put(self, key: bytes, path: str, timestamp: Timestamp, metadata: bytes, body: bytes) -> None:
        """A small object at once. Raises Superseded."""

    def writer(self, key: bytes, path: str) -> ObjectWriter:
        """An object of any size."""

    def read(self, key: bytes, version: Version, offset: int, length: int) -> AsyncIterator[bytes]:
        """Bytes of a version that `find` gave, in chunks of up to 2 MiB. Raises DeviceError where they are gone.

        A reader that has begun keeps its version, whatever happens to the object.
        """

    async def update(self, key: bytes, timestamp: Timestamp, change: Callable[[bytes], bytes]) -> Version:
        """New metadata for the data that is there, made from the old. Raises Missing, Superseded."""

    async def delete(self, key: bytes, path: str, timestamp: Timestamp) -> None:
        """Deletes; of what was never there the deletion is remembered as well. Raises Superseded."""

    async def claim(self, key: bytes, holder: bytes, timestamp: Timestamp, seconds: float) -> bool:
        """For so long nobody else may claim the name; False where somebody has. Nobody is kept from writing.

        `timestamp` is that of the write that is to follow. Raises Superseded where whoever had it before was not heard of
        again, and may write yet with as late a one: a write with a later one undoes that.
        """

    async def release(self, key: bytes, holder: bytes) -> bool:
        """Whether nobody else has claimed it meanwhile, however long that was."""

    async def tidy(self, forget_before: Timestamp) -> int:
        """Gives back space that old versions take, and forgets deletions older than that; returns bytes freed."""
