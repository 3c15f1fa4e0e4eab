"""One question to all that may know: which version is the newest?"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import structlog

from pileus.drivers.object.cluster.member import Broken, Stamp
from pileus.drivers.object.cluster.peer import Patience, Peer, Seats, quorum
from pileus.drivers.object.cluster.waiting import within
from pileus.kernel.clock import Clock
from pileus.services.object_store.driver import DeviceError, Version

log = structlog.get_logger("pileus.object_store")


class Look:
    """Asks one primary for the version, and the others for what they have; the newest that any knows of counts.

    All primaries have answered: then one of them knows of whatever was acknowledged (`Tally`). Where one does not answer the
    handoffs are asked as well; then it is enough that fewer are silent than a write was acknowledged by.
    """

    def __init__(self, seats: Seats, key: bytes, clock: Clock, patience: Patience) -> None:
        self._seats = seats
        self._key = key
        self._clock = clock
        self._patience = patience
        self._allowed = quorum(len(seats.primaries)) - 1
        self._asked: set[Peer] = set()
        self._known: dict[Peer, Stamp | None] = {}
        self._versions: dict[Peer, Version] = {}
        self._failed: dict[Peer, BaseException] = {}
        self._pending: dict[asyncio.Future[Any], Peer] = {}
        self._widened = False
        self._enough = True
        self._event = asyncio.Event()

    async def run(self, *, must_be_sure: bool = False) -> Version | None:
        """Raises DeviceError where too few answer, or nobody can give what there is.

        Where it must be sure, the newest that is left is not good enough.
        """
        self._ask_primaries()
        await self._wait(self._patience.slow_seconds)
        if not self._sure():
            self._widen()
            for peer in self._seats.primaries + self._seats.handoffs:  # perhaps one that failed is back
                self._ask(peer)
            if not await self._wait(self._patience.answer_seconds - self._patience.slow_seconds):
                for peer in {*self._pending.values()}:
                    peer.ill("no answer in time")
        if not self._widened and not any(self._known.values()):
            self._widen()  # after a change of the ring objects are on their way to their new homes
            await self._wait(self._patience.slow_seconds, enough=False)
        if must_be_sure and not self._sure():
            raise DeviceError("too few devices say what the newest version is")
        return await self._newest()

    def _ask_primaries(self) -> None:
        for peer in self._seats.primaries:
            if peer.suspended:
                self._widen()
            else:
                self._ask(peer, whole=not self._asked)

    def _widen(self) -> None:
        if not self._widened:
            self._widened = True
            for peer in self._seats.handoffs:
                if not peer.suspended:
                    self._ask(peer)

    def _ask(self, peer: Peer, *, whole: bool = False) -> None:
        """Each once."""
        if peer in self._asked:
            return
        self._asked.add(peer)
        asked: asyncio.Future[Any] = peer.member.find(self._key) if whole else peer.member.peek(self._key)
        if asked.done():
            self._take(peer, asked)
        else:
            self._pending[asked] = peer
            asked.add_done_callback(partial(self._answered, peer))

    def _answered(self, peer: Peer, answer: asyncio.Future[Any]) -> None:
        del self._pending[answer]
        self._take(peer, answer)
        if not self._pending or (self._enough and self._sure()):
            self._event.set()

    def _take(self, peer: Peer, answer: asyncio.Future[Any]) -> None:
        error = DeviceError("it gave up") if answer.cancelled() else answer.exception()
        if error is not None:
            self._failed[peer] = error
            self._widen()
            if isinstance(error, Broken):
                peer.well()
            else:
                peer.ill(error)
            return
        peer.well()
        found = answer.result()
        if isinstance(found, Version):
            self._versions[peer] = found
            found = Stamp.of(found)
        self._known[peer] = found

    def _sure(self) -> bool:
        silent = sum(peer not in self._known for peer in self._seats.primaries)
        if not silent:
            return True
        silent += sum(peer not in self._known for peer in self._seats.handoffs)
        return self._widened and silent <= self._allowed

    async def _wait(self, seconds: float, *, enough: bool = True) -> bool:
        """Until it is sure what is the newest, or, where that is not `enough`, for all answers."""
        if not self._pending or (enough and self._sure()):
            return True
        self._enough = enough
        self._event.clear()
        return await self._clock.wait(self._event, seconds)

    async def _newest(self) -> Version | None:
        best = max((stamp for stamp in self._known.values() if stamp is not None), default=None)
        if best is None:
            if not self._sure() and len(self._known) <= self._allowed:
                why = next(iter(self._failed.values()), "too few answered in time")
                raise DeviceError(f"nobody can say whether there is an object: {why}")
            return None
        for peer, version in self._versions.items():
            if self._known[peer] == best:
                return version
        reason: object = "no answer in time"
        for peer in [peer for peer, stamp in self._known.items() if stamp == best]:
            asked = peer.member.find(self._key)
            if not await within(self._clock, self._patience.answer_seconds, asked):
                peer.ill("no answer in time")
                asked.cancel()
                continue
            if (error := asked.exception()) is not None:
                reason = error
            elif (found := asked.result()) is not None and Stamp.of(found) >= best:
                return found
        raise DeviceError(f"the newest version can't be read: {reason}")
