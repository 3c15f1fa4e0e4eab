"""One write to all that ought to have it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from pileus.drivers.object.cluster.peer import Patience, Peer, Seats, quorum
from pileus.kernel.clock import Clock
from pileus.services.object_store.driver import DeviceError, DeviceFull, Missing, Superseded, Version

log = structlog.get_logger("pileus.object_store")
Bring = Callable[[Peer], Awaitable[None]]


class Tally:
    """Answers to one write, and what they come to.

    Acknowledged is what a quorum has durably, a primary among them: a read asks all primaries, so it meets one that knows.
    """

    def __init__(self, primaries: int) -> None:
        self._quorum = quorum(primaries)
        self._durable = 0
        self._primary = False
        self._newer: list[Superseded] = []
        self._full: DeviceFull | None = None
        self._error: Exception | None = None
        self.pending = 0

    def durable(self, *, primary: bool) -> None:
        self._durable += 1
        self._primary = self._primary or primary

    def failed(self, error: Exception) -> None:
        if isinstance(error, Superseded):
            self._newer.append(error)
        elif isinstance(error, DeviceFull):
            self._full = error
        else:
            self._error = error

    @property
    def acknowledged(self) -> bool:
        return self._durable >= self._quorum and self._primary

    @property
    def decided(self) -> bool:
        return self.acknowledged or len(self._newer) >= self._quorum or self.pending == 0

    def outcome(self) -> Exception | None:
        """None where it is acknowledged."""
        if self.acknowledged:
            return None
        if self._newer and (len(self._newer) >= self._quorum or not (self._full or self._error)):
            return max(self._newer, key=lambda each: each.newest)
        if self._full is not None:
            return self._full
        why = f": {self._error}" if self._error is not None else ", too few answered in time"
        return DeviceError(f"{self._durable} copies are durable, {self._quorum} must be{why}")


class Write:
    """A version on its way to the devices of its partition. Where one fails a handoff stands in.

    What is late goes on after the answer. `bring` takes the data to a device that was to get new metadata of data that it
    does not have.
    """

    def __init__(
        self, seats: Seats, key: bytes, version: Version, clock: Clock, patience: Patience, bring: Bring
    ) -> None:
        self._seats = seats
        self._key = key
        self._version = version
        self._clock = clock
        self._patience = patience
        self._bring = bring
        # Data go to the proxy's own place first. What only tells of data goes where they are to be in the end.
        told = version.body is None
        self._first, others = (seats.primaries, seats.handoffs) if told else (seats.first, seats.rest)
        self._others = iter(others)
        self._tally = Tally(len(seats.primaries))
        self._unanswered: dict[Peer, bool] = {}
        """Whether a handoff stands in already."""
        self._bytes = len(version.body or b"") + len(version.metadata)
        self._event = asyncio.Event()

    async def run(self) -> None:
        """Raises Superseded, DeviceFull, DeviceError."""
        passed_over = []
        for peer in self._first:
            if peer.suspended or peer.overrun:
                passed_over.append(peer)
            else:
                self._ask(peer)
        for _ in passed_over:
            self._stand_in()
        if len(passed_over) == len(self._first):
            for peer in passed_over:
                self._ask(peer)
        self._judge()
        if not await self._clock.wait(self._event, self._patience.slow_seconds):
            for peer, stood_in in list(self._unanswered.items()):
                if not stood_in:
                    self._unanswered[peer] = True
                    self._stand_in()
            for peer in passed_over:  # perhaps one of them is back
                self._ask(peer)
            if not await self._clock.wait(
                self._event, self._patience.answer_seconds - self._patience.slow_seconds
            ):
                for peer in self._unanswered:
                    peer.ill("no answer in time")
        if (error := self._tally.outcome()) is not None:
            raise error

    def _ask(self, peer: Peer) -> None:
        if peer in self._unanswered:
            return
        self._unanswered[peer] = False
        self._tally.pending += 1
        peer.behind += 1
        peer.behind_bytes += self._bytes
        self._listen(peer, peer.member.store(self._key, self._version))

    def _listen(self, peer: Peer, answer: asyncio.Future[None]) -> None:
        answer.add_done_callback(partial(self._answered, peer))

    def _stand_in(self) -> None:
        for peer in self._others:
            if not (peer.suspended or peer.overrun):
                self._ask(peer)
                return

    def _answered(self, peer: Peer, answer: asyncio.Future[None]) -> None:
        error = DeviceError("it gave up") if answer.cancelled() else answer.exception()
        if isinstance(error, Missing):
            self._listen(peer, asyncio.ensure_future(self._bring(peer)))
            return
        stood_in = self._unanswered.pop(peer)
        self._tally.pending -= 1
        peer.behind -= 1
        peer.behind_bytes -= self._bytes
        if error is None:
            peer.well()
            self._tally.durable(primary=peer in self._seats.primaries)
        else:
            self._failed(peer, error, stood_in)
        self._judge()

    def _failed(self, peer: Peer, error: BaseException, stood_in: bool) -> None:
        if not isinstance(error, Superseded | DeviceError):
            log.error("a device of the ring fails in a new way", device=peer.id, exc_info=error)
            error = DeviceError(f"{type(error).__name__}: {error}")
        self._tally.failed(error)
        if isinstance(error, Superseded):
            peer.well()
            return
        if not isinstance(error, DeviceFull):
            peer.ill(error)
        if not stood_in:
            self._stand_in()

    def _judge(self) -> None:
        if self._tally.decided:
            self._event.set()
