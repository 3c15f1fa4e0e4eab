"""Asking the replicas of a path: the first that answers, a quorum, or all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeVar

import structlog

from pileus.drivers.object.listing.backlog import Backlog, Told
from pileus.drivers.object.listing.member import Change, Changed, Entered, Info, Member
from pileus.drivers.object.listing.placement import Place, Placement, quorum
from pileus.drivers.object.lull import lull
from pileus.services.object_store.driver import DeviceError
from pileus.services.object_store.listings import NotEmpty

log = structlog.get_logger("pileus.object_store.listings")
R = TypeVar("R")


class Answer(NamedTuple):
    entered: Sequence[Entered]
    """Of the replicas that have such a list."""
    everywhere: bool
    """All primaries are among them."""
    known: bool
    """Somebody has it, or may have it."""
    devices: Sequence[int]
    """Those that took it, and may lose it until they settle."""


class Router:
    def __init__(self, placement: Placement, backlog: Backlog) -> None:
        self.placement = placement
        self.backlog = backlog
        self._asked: dict[str, asyncio.Future[str | None]] = {}
        """Words that are about to be asked for."""

    def _in_order(self, path: str) -> list[Place]:
        """Primaries, those that have all first."""
        primaries = self.placement.primaries(path)
        if not len(self.backlog):
            return primaries
        return sorted(primaries, key=lambda place: self.backlog.behind(place.id, path))

    async def first(self, path: str, ask: Callable[[Member], Awaitable[R | None]]) -> R | None:
        """The first that is not None. Raises DeviceError where too few answer for None to be believed."""
        primaries = self._in_order(path)
        nothing = 0
        failure: DeviceError | None = None
        for place in primaries:
            try:
                answer = await ask(place.member)
            except DeviceError as error:
                failure = error
                continue
            if answer is not None:
                return answer
            nothing += 1
        if failure is not None:
            for place in islice(self.placement.handoffs(path), len(primaries)):
                try:
                    answer = await ask(place.member)
                except DeviceError:
                    continue
                if answer is not None:
                    return answer
            if nothing < quorum(len(primaries)):
                raise DeviceError(
                    f"{nothing} of {len(primaries)} replicas of the list {path} answer: {failure}"
                ) from failure
        for place in self.placement.displaced(path):
            if (answer := await ask(place.member)) is not None:
                return answer
        return None

    async def word(self, path: str) -> str | None:
        """As the member that is asked first has it, and whose it is; None where nobody answers.

        Many ask at once: those share an answer that come before the question is on its way.
        """
        asked = self._asked.get(path)
        if asked is None:
            asked = self._asked[path] = asyncio.ensure_future(self._word(path))
            lull().then(partial(self._asked.__delitem__, path))
        return await asyncio.shield(asked)

    async def _word(self, path: str) -> str | None:
        for place in self._in_order(path):
            try:
                return f"{place.id}:{await place.member.word(path)}"
            except DeviceError:
                continue
        return None

    async def info(self, path: str) -> Info | None:
        """The first that exists; of those that don't, the newest."""
        newest: Info | None = None

        async def ask(member: Member) -> Info | None:
            nonlocal newest
            info = await member.info(path)
            if info is None or info.exists:
                return info
            if newest is None or info.life.delete_at > newest.life.delete_at:
                newest = info
            return None

        found = await self.first(path, ask)
        if newest is not None and (
            found is None or (newest.life.delete_at >= found.life.put_at and not found.objects)
        ):
            return newest
        return found

    async def change(
        self, path: str, change: Change, *, make: bool = False, empty: bool = False
    ) -> list[Changed]:
        """A quorum has it durably; handoffs stand in for primaries that are away. Raises NotEmpty, DeviceError."""
        primaries = self.placement.primaries(path)
        if len(primaries) == 1:
            changed = await primaries[0].member.change(path, change, make=make, empty=empty)
            if changed is None:
                return await self._change_displaced(path, change, empty=empty)
            return [changed]
        if empty:
            await self._see_empty(path, primaries)
        answers = await asyncio.gather(
            *(
                place.member.change(
                    path, change, make=make, empty=empty and not self.backlog.behind(place.id, path)
                )
                for place in primaries
            ),
            return_exceptions=True,
        )
        _raise_others(answers)
        done = [answer for answer in answers if isinstance(answer, Changed)]
        away = [
            place for place, answer in zip(primaries, answers, strict=True) if isinstance(answer, DeviceError)
        ]
        needed = quorum(len(primaries))
        if len(done) < needed and not away and not make:
            return done or await self._change_displaced(path, change, empty=empty)
        stand_ins = self.placement.handoffs(path)
        for _ in away:
            for place in islice(stand_ins, len(primaries)):
                try:
                    changed = await place.member.change(path, change, make=True)
                except DeviceError:
                    continue
                if changed is not None:
                    done.append(changed)
                break
        if len(done) < needed:
            failure = next((answer for answer in answers if isinstance(answer, DeviceError)), None)
            raise DeviceError(f"{len(done)} of {len(primaries)} replicas of {path} took it: {failure}")
        for place in away:
            self.backlog.add(place.id, path, Told(change=change), elsewhere=True)
        return done

    async def _change_displaced(self, path: str, change: Change, *, empty: bool) -> list[Changed]:
        asked = [
            await place.member.change(path, change, empty=empty) for place in self.placement.displaced(path)
        ]
        return [changed for changed in asked if changed is not None]

    async def settle(self, path: str) -> dict[int, str]:
        """The words of primaries on which all is durable now."""
        words = {}
        for place in self.placement.primaries(path):
            try:
                words[place.id] = await place.member.settle()
            except DeviceError as error:
                log.warning("a device can't make lists durable", device=place.id, error=str(error))
        return words

    async def _see_empty(self, path: str, primaries: Sequence[Place]) -> None:
        for place in primaries:
            if self.backlog.behind(place.id, path):
                continue
            try:
                info = await place.member.info(path)
            except DeviceError:
                continue
            if info is not None and info.exists and (info.objects or info.containers):
                raise NotEmpty

    async def tell(self, path: str, told: Told, *, durable: bool = False) -> Answer:
        """Rows to all replicas; who is away gets them later."""
        primaries = self.placement.primaries(path)
        if len(primaries) == 1:
            answers: list[Entered | BaseException | None] = [
                await _single(primaries[0].member, path, told, durable)
            ]
        else:
            answers = await asyncio.gather(
                *(deliver(place.member, path, told, durable=durable) for place in primaries),
                return_exceptions=True,
            )
            _raise_others(answers)
        entered = [answer for answer in answers if isinstance(answer, Entered)]
        took = [
            place.id for place, answer in zip(primaries, answers, strict=True) if isinstance(answer, Entered)
        ]
        away = [
            place for place, answer in zip(primaries, answers, strict=True) if isinstance(answer, DeviceError)
        ]
        if away:
            stand_ins = islice(self.placement.handoffs(path), len(primaries))
            for place in stand_ins:
                try:
                    answer = await deliver(place.member, path, told, durable=durable)
                except DeviceError:
                    continue
                if answer is not None:
                    entered.append(answer)
                    took.append(place.id)
            for place in away:
                self.backlog.add(place.id, path, told, elsewhere=bool(entered))
        for place in self.placement.displaced(path) if not entered else ():
            try:
                answer = await deliver(place.member, path, told, durable=durable)
            except DeviceError:
                away.append(place)
                self.backlog.add(place.id, path, told, elsewhere=False)
                continue
            if answer is not None:
                entered.append(answer)
                took.append(place.id)
        everywhere = len(entered) == len(primaries) and not away
        return Answer(entered, everywhere, bool(entered or away), took)


async def _single(member: Member, path: str, told: Told, durable: bool) -> Entered | DeviceError | None:
    try:
        return await deliver(member, path, told, durable=durable)
    except DeviceError as error:
        return error


async def deliver(member: Member, path: str, told: Told, *, durable: bool = False) -> Entered | None:
    """What was not known to one member, to that member."""
    entered = None
    if told.change is not None:
        await member.change(path, told.change, make=True)
    if told.objects:
        entered = await member.enter(path, told.objects)
    if told.children:
        entered = await member.report(path, told.children, durable=durable)
    return entered


def _raise_others(answers: Sequence[object]) -> None:
    """What is not a device's failure is the caller's."""
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, DeviceError):
            raise answer
