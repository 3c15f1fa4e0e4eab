"""What a ring of devices needs of each: an object device's verbs, and those that make replicas agree.

A member keeps versions as they are, with both timestamps, whoever made them. Of two versions of one key the greater stamp
is the object. Three verbs return futures, and what they ask for has begun when they do, so that many members are asked at
once without a task for each; who waits for one shields it, and a cancelled one stops nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from typing import NamedTuple, Protocol

from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, ObjectDevice, Version


class Broken(DeviceError):
    """The bytes of this one version are not what was written; the member itself is well."""


class Stamp(NamedTuple):
    """Which version there is. Compares as versions do."""

    timestamp: Timestamp
    """Of the data, or of the deletion."""
    changed: Timestamp
    """Of the metadata."""
    deleted: bool = False

    @classmethod
    def of(cls, version: Version) -> Stamp:
        return cls(version.timestamp, version.changed, version.deleted)


class Capacity(NamedTuple):
    total_bytes: int
    free_bytes: int
    objects: int
    """Keys that something is known of, deletions included."""


class MemberWriter(Protocol):
    """As `ObjectWriter`; `finish` takes the metadata's own timestamp, where it is later than that of the data."""

    async def write(self, chunk: bytes | memoryview) -> None: ...

    async def finish(
        self, timestamp: Timestamp, metadata: bytes, changed: Timestamp | None = None
    ) -> None: ...

    async def abort(self) -> None: ...


class Member(ObjectDevice, Protocol):
    """One device of a ring, on this host or elsewhere.

    A partition is the first `part_power` bits of the key, a suffix the 16 bits (or the `part_power`, where that is more)
    of which those are the first. Whatever fails raises DeviceError; from a member that can't be reached, too.
    """

    def find(self, key: bytes) -> asyncio.Future[Version | None]:
        """As `ObjectDevice.find`. Raises Broken where a version is known of, but its bytes are not sound."""

    def peek(self, key: bytes) -> asyncio.Future[Stamp | None]:
        """What `find` would find, without what is in it. Raises Broken."""

    def store(self, key: bytes, version: Version) -> asyncio.Future[None]:
        """Keeps a version with its own timestamps; durable when the future is done.

        It is a deletion, or has its `body` with it, or is new metadata for data that the member has: then `body` is None,
        and Missing says that it has no such data. Superseded: it has a version as great, or greater.
        """

    def writer(self, key: bytes, path: str) -> MemberWriter: ...

    def read(self, key: bytes, version: Version, offset: int, length: int) -> AsyncIterator[bytes]:
        """As `ObjectDevice.read`; the version may be one that another member found: same key, same data timestamp."""

    async def summaries(self, part_power: int) -> Mapping[int, int]:
        """A number for each partition of which there is something; two members that have the same have equal ones."""

    async def suffixes(self, part_power: int, partition: int) -> Mapping[int, int]:
        """The same for each suffix of a partition."""

    async def stamps(
        self, part_power: int, partition: int, suffixes: Collection[int] | None = None
    ) -> Mapping[bytes, Stamp]:
        """What there is in a partition, or in these suffixes of it, by key; deletions too, what is broken not."""

    async def drop(self, key: bytes, stamp: Stamp) -> bool:
        """Durably forgets a version, without a deletion: others have it. False where it has another by now."""

    async def check(self, key: bytes) -> int:
        """Reads all of a version against its checksums; returns bytes read.

        Broken where they are not what was written. Then it is in quarantine: `find` and `peek` raise, `stamps` leave it
        out, until the same version or a greater one is stored.
        """

    async def capacity(self) -> Capacity: ...

    async def ring(self) -> str:
        """The digest of the ring that its server goes by, and has for a while; empty where that has none of its own.

        A handoff forgets nothing as long as they don't agree who the handoff is.
        """
