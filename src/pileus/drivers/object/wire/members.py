"""Devices of other servers: objects, and lists of accounts and containers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pileus.drivers.object.cluster.member import Member as ObjectMember
from pileus.drivers.object.listing.member import Member as ListingMember
from pileus.drivers.object.wire.client import Peer
from pileus.drivers.object.wire.interface import Interface
from pileus.drivers.object.wire.remote import Remote
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import Missing, Superseded, Told, Version

OBJECT_VERBS = Interface(
    ObjectMember,
    local=("start", "mark", "close", "update"),
    slow=("tidy", "check", "summaries", "suffixes", "stamps"),
)
LISTING_VERBS = Interface(ListingMember, local=("start", "close"), slow=("settle",))


class RemoteObjects(Remote):
    """The objects of another server's device: a `Member`."""

    find: Callable[[bytes], Awaitable[Version | None]]
    store: Callable[[bytes, Version], Awaitable[None]]

    def __init__(self, peer: Peer, device: str) -> None:
        super().__init__(OBJECT_VERBS, peer, device)

    async def start(self, told: Told, since: str) -> None:
        """The server itself hears of what is durable there."""

    def mark(self) -> str:
        return ""

    async def close(self) -> None:
        """The connection is its peer's."""

    async def update(self, key: bytes, timestamp: Timestamp, change: Callable[[bytes], bytes]) -> Version:
        old = await self.find(key)
        if old is None or old.deleted:
            raise Missing(None if old is None else old.timestamp)
        if timestamp <= old.changed:
            raise Superseded(old.changed, deleted=False)
        new = old._replace(changed=timestamp, metadata=change(old.metadata))
        await self.store(key, new._replace(body=None))
        return new


class RemoteListings(Remote):
    """The lists of another server's device: a `Member` of a ring of lists."""

    def __init__(self, peer: Peer, device: str) -> None:
        super().__init__(LISTING_VERBS, peer, device)

    async def start(self) -> None:
        """The server is there, or not yet."""

    async def close(self) -> None:
        """The connection is its peer's."""


class Peers:
    """The servers of a cluster, each once; whoever makes them closes them."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._peers: dict[tuple[str, int], Peer] = {}

    def at(self, host: str, port: int) -> Peer:
        found = self._peers.get((host, port))
        if found is None:
            found = self._peers[host, port] = Peer(host, port, self._key)
        return found

    async def close(self) -> None:
        while self._peers:
            await self._peers.popitem()[1].close()
