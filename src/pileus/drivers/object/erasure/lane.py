"""One fragment archive on its way to a member, at the member's own pace."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from pileus.drivers.object.cluster.member import Member, MemberWriter
from pileus.drivers.object.engine import SMALL_BYTES
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, DeviceFull, Version, whole_or_nothing

R = TypeVar("R")


async def in_time(work: Awaitable[R], seconds: float) -> R:
    """Raises DeviceError where it takes longer."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise DeviceError(f"a device did not answer for {seconds:g} s") from None


class Lane:
    """Failures are kept, not raised: `failure` says why nothing comes of this lane any more."""

    def __init__(self, targets: Iterator[Member], key: bytes, path: str, patience_seconds: float) -> None:
        """`targets`: the member that ought to have it first, then those that stand in; shared among lanes."""
        self._targets = targets
        self.key = key
        self._path = path
        self._patience = patience_seconds
        self._writer: MemberWriter | None = None
        self._writing: asyncio.Task[None] | None = None
        self.member: Member | None = None
        """Who has it."""
        self.failure: DeviceError | None = None
        self.stored = False
        """Whether all of it is durable."""

    def store(self, timestamp: Timestamp, metadata: bytes, body: bytes) -> asyncio.Future[None]:
        """All of it at once, on the first of its targets; `put` goes on from there."""
        self.member = next(self._targets)
        return self._store_on(self.member, timestamp, metadata, body)

    def _store_on(
        self, member: Member, timestamp: Timestamp, metadata: bytes, body: bytes
    ) -> asyncio.Future[None]:
        version = Version(self._path, timestamp, timestamp, len(body), metadata, False, body)
        return member.store(self.key, version)

    async def put(
        self,
        timestamp: Timestamp,
        metadata: bytes,
        body: bytes,
        storing: asyncio.Future[None] | None = None,
    ) -> None:
        """All of it at once; whoever fails is stood in for. `storing` is what `store` has begun."""
        if storing is not None:
            await self._or_fail(lambda: asyncio.shield(storing))
            self.stored = self.failure is None
            if self.stored:
                return

        async def put_on(member: Member) -> None:
            if len(body) <= SMALL_BYTES:
                await asyncio.shield(self._store_on(member, timestamp, metadata, body))
                return
            async with whole_or_nothing(member.writer(self.key, self._path)) as writer:
                await writer.write(body)
                await writer.finish(timestamp, metadata)

        await self._on_any(put_on)
        self.stored = self.failure is None

    def feed(self, fragment: bytes) -> None:
        """Begins to write it. `ready` must have returned before."""
        if self.failure is None:
            first = self._writer is None
            self._writing = asyncio.create_task(self._first(fragment) if first else self._next(fragment))

    async def ready(self) -> None:
        """Returns when the next fragment may come, or none any more."""
        if self._writing is not None:
            await self._writing
            self._writing = None

    async def finish(self, timestamp: Timestamp, metadata: bytes) -> None:
        """All fragments have come: durable when this returns and `failure` is None."""
        await self.ready()
        if self.failure is None and self._writer is not None:
            writer = self._writer
            await self._or_fail(lambda: writer.finish(timestamp, metadata))
            self.stored = self.failure is None

    async def abort(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
            self._writing = None
        if self._writer is not None:
            try:
                await in_time(self._writer.abort(), self._patience)
            except DeviceError as error:
                self.failure = error

    async def _first(self, fragment: bytes) -> None:
        async def write_on(member: Member) -> None:
            self._writer = member.writer(self.key, self._path)
            await self._writer.write(fragment)

        await self._on_any(write_on)

    async def _next(self, fragment: bytes) -> None:
        writer = self._writer
        assert writer is not None
        await self._or_fail(lambda: writer.write(fragment))

    async def _or_fail(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await in_time(work(), self._patience)
        except DeviceError as error:
            self.failure = error

    async def _on_any(self, work: Callable[[Member], Coroutine[Any, Any, None]]) -> None:
        failure = self.failure or DeviceError("there is no device left for a fragment")
        for member in self._targets:
            try:
                await in_time(work(member), self._patience)
            except DeviceError as error:
                failure = error
            else:
                self.member, self.failure = member, None
                return
        self.failure = failure


def targets(primaries: Sequence[Member], handoffs: Iterator[Member]) -> list[Iterator[Member]]:
    """For each index its primary, then the handoffs: each of these for one index only."""

    def of(primary: Member) -> Iterator[Member]:
        yield primary
        yield from handoffs

    return [of(primary) for primary in primaries]


def refusal(lanes: Sequence[Lane], quorum: int) -> DeviceError:
    """Why too few archives were stored."""
    failures = [lane.failure for lane in lanes if lane.failure is not None]
    message = f"{len(lanes) - len(failures)} of {len(lanes)} fragments can be stored, {quorum} must be: {failures[0]}"
    if any(isinstance(failure, DeviceFull) for failure in failures):
        return DeviceFull(message)
    return DeviceError(message)
