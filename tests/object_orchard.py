"""A service with all that the protocol between storage servers can carry, and a connection to it."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import md5
from mmap import PAGESIZE as PAGE
from typing import Any, NamedTuple, Protocol

from pileus.drivers.object.cluster.member import Broken
from pileus.drivers.object.wire.client import Peer
from pileus.drivers.object.wire.interface import Interface
from pileus.drivers.object.wire.remote import Remote
from pileus.drivers.object.wire.server import WireServer
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, DeviceFull, Missing, Superseded
from pileus.services.object_store.listings import NoSuchContainer, NotEmpty

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
MIB = 1024 * 1024


class Fruit(NamedTuple):
    name: str
    ripe: Timestamp
    body: bytes | None = None


class Basket(Protocol):
    async def write(self, chunk: bytes) -> None: ...

    async def finish(self, name: str, changed: Timestamp | None = None) -> int: ...

    async def abort(self) -> None: ...


class Orchard(Protocol):
    async def ripen(self, fruit: Fruit, *, seconds: float = 1.0) -> Fruit: ...

    def pick(self, name: str) -> Awaitable[Fruit | None]: ...

    async def fail(self, number: int) -> None: ...

    async def hang(self) -> None: ...

    def juice(self, count: int, size: int) -> AsyncIterator[bytes]: ...

    def fruits(self, count: int) -> AsyncIterator[Fruit]: ...

    def basket(self, owner: str) -> Basket: ...

    async def press(self, name: str, fruits: AsyncIterator[bytes]) -> int: ...

    def local(self, change: Callable[[], None]) -> None: ...


VERBS = Interface(Orchard, local=("local",))
FAILURES: list[Exception] = [
    Superseded(Timestamp(7, 3), deleted=True),
    Missing(Timestamp(9)),
    Missing(),
    DeviceFull("full to the brim"),
    DeviceError("out of order"),
    Broken("rotten"),
    NoSuchContainer(),
    NotEmpty(),
    KeyError("a defect"),
]


def place_of(chunk: memoryview) -> int:
    """Its address."""
    return ctypes.addressof(ctypes.c_char.from_buffer(chunk))


class _Basket:
    def __init__(self, orchard: _Orchard) -> None:
        self._orchard = orchard
        self._size = 0
        orchard.open_baskets += 1

    async def write(self, chunk: memoryview) -> None:
        await self._orchard.slowly.wait()
        if place_of(chunk) % PAGE != self._size % PAGE:
            self._orchard.misplaced += 1
        self._orchard.received.update(chunk)
        self._size += len(chunk)
        if self._size > 50 * MIB:
            raise DeviceFull("the basket is full")

    async def finish(self, name: str, changed: Timestamp | None = None) -> int:
        if changed is not None:
            raise Superseded(changed, deleted=False)
        self._orchard.open_baskets -= 1
        return self._size

    async def abort(self) -> None:
        self._orchard.open_baskets -= 1
        self._orchard.aborted.set()


class _Orchard:
    def __init__(self) -> None:
        self.open_baskets = 0
        self.aborted = asyncio.Event()
        self.closed = asyncio.Event()
        self.slowly = asyncio.Event()
        self.slowly.set()
        self.sent = 0
        self.received = md5(usedforsecurity=False)
        """Of all that came into baskets."""
        self.misplaced = 0
        """Chunks that do not begin within a page of memory as they do in the stream."""
        self.hanging = 0

    async def ripen(self, fruit: Fruit, *, seconds: float = 1.0) -> Fruit:
        self.hanging += 1
        await self.slowly.wait()
        self.hanging -= 1
        return fruit._replace(ripe=Timestamp.at(seconds))

    def pick(self, name: str) -> asyncio.Future[Fruit | None]:
        future: asyncio.Future[Fruit | None] = asyncio.get_running_loop().create_future()
        future.set_result(Fruit(name, Timestamp(1), b"x" * 10) if name else None)
        return future

    async def fail(self, number: int) -> None:
        raise FAILURES[number]

    async def hang(self) -> None:
        self.hanging += 1
        await asyncio.Event().wait()

    async def juice(self, count: int, size: int) -> AsyncIterator[bytes]:
        try:
            for number in range(count):
                self.sent += size
                yield number.to_bytes(1, "big") * size
            if not size:
                raise DeviceError("no juice")
        finally:
            self.closed.set()

    async def fruits(self, count: int) -> AsyncIterator[Fruit]:
        for number in range(count):
            yield Fruit(str(number), Timestamp(number))

    async def press(self, name: str, fruits: AsyncIterator[bytes]) -> int:
        size = 0
        async for chunk in fruits:
            size += len(chunk)
            if size > 50 * MIB:
                raise DeviceFull("the press is full")
        return size

    def basket(self, owner: str) -> _Basket:
        return _Basket(self)


class World(NamedTuple):
    orchard: _Orchard
    server: WireServer
    peer: Peer
    remote: Any


@asynccontextmanager
async def running(key: bytes = KEY) -> AsyncIterator[World]:
    orchard = _Orchard()
    serving = WireServer(KEY)
    serving.serve("orchard/1", VERBS, orchard)
    await serving.start("127.0.0.1", 0)
    peer = Peer("127.0.0.1", serving.port, key)
    try:
        yield World(orchard, serving, peer, Remote(VERBS, peer, "orchard/1"))
    finally:
        await peer.close()
        await serving.close(0.1)
