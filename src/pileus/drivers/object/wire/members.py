"""Devices of other servers: objects, and lists of accounts and containers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from pileus.drivers.object.cluster.member import Member as ObjectMember
from pileus.drivers.object.listing.member import Member as ListingMember
from pileus.drivers.object.wire.client import Peer
from pileus.drivers.object.wire.interface import Interface
from pileus.drivers.object.wire.remote import Remote
from pileus.drivers.object.wire.stream import StreamIn
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import Missing, Superseded, Told, Version

OBJECT_VERBS = Interface(
    ObjectMember,
    local=("start", "mark", "close", "update", "put", "delete", "tidy"),
    slow=("check", "summaries", "suffixes", "stamps"),
)
LISTING_VERBS = Interface(ListingMember, local=("start", "close"), slow=("settle",))


class RemoteObjects(Remote):
    """The objects of another server's device: a `Member`.

    Its server hears of all that becomes durable there, and sees to the lists. What is stored from here is told here, too,
    so that who has written finds it in the list at once.
    """

    find: Callable[[bytes], asyncio.Future[Version | None]]

    def __init__(self, peer: Peer, target: str) -> None:
        super().__init__(OBJECT_VERBS, peer, target)
        self._peer, self._target = peer, target
        self._told: Told = lambda version: None
        self._count = 0

    async def start(self, told: Told, since: str) -> None:
        """Nothing is told again."""
        self._told = told

    def mark(self) -> str:
        """Changes whenever something was told."""
        return str(self._count)

    async def close(self) -> None:
        """The connection is its peer's."""

    async def tidy(self, forget_before: Timestamp) -> int:
        """Its server does."""
        return 0

    def _tell(self, version: Version) -> None:
        self._count += 1
        self._told(version)

    def store(self, key: bytes, version: Version) -> asyncio.Future[None]:
        stored = self._peer.call(self._target, OBJECT_VERBS["store"], [key, version])
        stored.add_done_callback(partial(self._stored, version))
        return stored

    def _stored(self, version: Version, stored: asyncio.Future[None]) -> None:
        if not stored.cancelled() and stored.exception() is None:
            self._tell(version)

    async def put(self, key: bytes, path: str, timestamp: Timestamp, metadata: bytes, body: bytes) -> None:
        await self.store(key, Version(path, timestamp, timestamp, len(body), metadata, False, body))

    async def delete(self, key: bytes, path: str, timestamp: Timestamp) -> None:
        await self.store(key, Version(path, timestamp, timestamp, 0, b"", True, None))

    def writer(self, key: bytes, path: str) -> ObjectStreamIn:
        return ObjectStreamIn(self._peer, self._target, key, path, self._tell)

    async def update(self, key: bytes, timestamp: Timestamp, change: Callable[[bytes], bytes]) -> Version:
        old = await self.find(key)
        if old is None or old.deleted:
            raise Missing(None if old is None else old.timestamp)
        if timestamp <= old.changed:
            raise Superseded(old.changed, deleted=False)
        new = old._replace(changed=timestamp, metadata=change(old.metadata))
        await self.store(key, new._replace(body=None))
        return new


class ObjectStreamIn(StreamIn):
    """An object on its way to another server, told of when it is there."""

    def __init__(self, peer: Peer, target: str, key: bytes, path: str, told: Told) -> None:
        super().__init__(peer, target, OBJECT_VERBS["writer"], [key, path])
        self._path, self._told = path, told
        self._size = 0

    async def write(self, chunk: bytes | memoryview) -> None:
        await super().write(chunk)
        self._size += len(chunk)

    async def finish(self, timestamp: Timestamp, metadata: bytes, changed: Timestamp | None = None) -> None:
        await super().finish(timestamp, metadata, changed)
        self._told(Version(self._path, timestamp, changed or timestamp, self._size, metadata, False, None))


class RemoteListings(Remote):
    """The lists of another server's device: a `Member` of a ring of lists."""

    def __init__(self, peer: Peer, device: str) -> None:
        super().__init__(LISTING_VERBS, peer, device)

    async def start(self) -> None:
        """The server is there, or not yet."""

    async def close(self) -> None:
        """The connection is its peer's."""


class Peers:
    """The servers of a cluster and their devices, each once; whoever makes them closes them."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._peers: dict[tuple[str, int], Peer] = {}
        self._objects: dict[tuple[Peer, str], RemoteObjects] = {}
        self._listings: dict[tuple[Peer, str], RemoteListings] = {}

    def at(self, host: str, port: int) -> Peer:
        found = self._peers.get((host, port))
        if found is None:
            found = self._peers[host, port] = Peer(host, port, self._key)
        return found

    def objects(self, host: str, port: int, target: str) -> RemoteObjects:
        peer = self.at(host, port)
        found = self._objects.get((peer, target))
        if found is None:
            found = self._objects[peer, target] = RemoteObjects(peer, target)
        return found

    def listings(self, host: str, port: int, target: str) -> RemoteListings:
        peer = self.at(host, port)
        found = self._listings.get((peer, target))
        if found is None:
            found = self._listings[peer, target] = RemoteListings(peer, target)
        return found

    async def close(self) -> None:
        while self._peers:
            await self._peers.popitem()[1].close()
