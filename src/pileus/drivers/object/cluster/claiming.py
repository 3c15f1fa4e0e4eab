"""A claim of a name, at all of its devices: whoever has most of them has it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple

from pileus.drivers.object.cluster.peer import Peer, Placement, Voters
from pileus.drivers.object.cluster.waiting import within
from pileus.kernel.clock import Clock
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, Superseded


class _Granted(NamedTuple):
    key: bytes
    voters: Voters
    by: frozenset[Peer]
    until: float


class Claiming:
    """What this proxy has claimed.

    A claim that most granted and most confirm when it is released was alone: any two majorities have a device in common,
    and it was the one's before or after it was the other's. Who was not alone may have written all the same; that device
    saw to it that whoever came after writes with a later time.
    """

    def __init__(self, placement: Placement, clock: Clock) -> None:
        self._placement = placement
        self._clock = clock
        self._granted: dict[bytes, _Granted] = {}
        self._held: dict[bytes, bytes] = {}
        """Who holds each key that is claimed here."""

    def is_held(self, key: bytes) -> bool:
        """Whether what there is of it must be known for sure."""
        return key in self._held

    async def claim(self, key: bytes, holder: bytes, timestamp: Timestamp, seconds: float) -> bool:
        """As `ObjectDevice.claim`. Raises DeviceError where too few answer."""
        now = self._clock.monotonic()
        for late in [each for each, granted in self._granted.items() if granted.until < now]:
            self._drop(late)
        voters = self._placement.voters(key)

        def ask(peer: Peer) -> Awaitable[bool]:
            return peer.member.claim(key, holder, timestamp, seconds)

        answers, failed = await self._ask(voters, ask)
        by = frozenset(peer for peer, granted in answers.items() if granted)
        self._granted[holder] = _Granted(key, voters, by, now + seconds)
        if _most(voters, by):
            self._held[key] = holder
            return True
        await self.release(key, holder)
        for error in failed:
            if isinstance(error, Superseded):
                raise error
        if not _most(voters, answers.keys()):
            raise DeviceError("; ".join(["too few devices say whose turn it is to write", *map(str, failed)]))
        return False

    async def release(self, key: bytes, holder: bytes) -> bool:
        """As `ObjectDevice.release`."""
        granted = self._drop(holder)
        if granted is None:
            return False

        def ask(peer: Peer) -> Awaitable[bool]:
            return peer.member.release(key, holder)

        answers, _ = await self._ask(granted.voters, ask)
        return _most(granted.voters, {peer for peer in granted.by if answers.get(peer)})

    def _drop(self, holder: bytes) -> _Granted | None:
        granted = self._granted.pop(holder, None)
        if granted is not None and self._held.get(granted.key) == holder:
            del self._held[granted.key]
        return granted

    async def _ask(
        self, voters: Voters, ask: Callable[[Peer], Awaitable[bool]]
    ) -> tuple[dict[Peer, bool], list[Exception]]:
        """Their answers, and why some give none; those that take long are not waited for where most have answered."""
        asked = {peer: asyncio.ensure_future(ask(peer)) for peer in frozenset[Peer]().union(*voters)}
        patience = self._placement.patience
        left = patience.answer_seconds - patience.slow_seconds
        if not await within(self._clock, patience.slow_seconds, *asked.values()) and not _most(
            voters, {peer for peer, answer in asked.items() if answer.done()}
        ):
            await within(self._clock, left, *asked.values())
        answers: dict[Peer, bool] = {}
        failed: list[Exception] = []
        for peer, answer in asked.items():
            answer.add_done_callback(lambda late: late.cancelled() or late.exception())
            if not answer.done():
                continue
            try:
                answers[peer] = answer.result()
            except (DeviceError, Superseded) as error:
                failed.append(error)
        return answers, failed


def _most(voters: Voters, of: Collection[Peer]) -> bool:
    return all(2 * len(group & frozenset(of)) > len(group) for group in voters)
