"""`Listings` over a ring of members, or over a single one.

Changes of objects are gathered and entered together: when somebody asks, when there are many, or after a moment. They are
made durable by `settle`; what a power cut takes is told again, from the objects themselves.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from pileus.drivers.object.listing.backlog import Backlog
from pileus.drivers.object.listing.encode import around
from pileus.drivers.object.listing.entering import Entering, path_of
from pileus.drivers.object.listing.member import Change, Child, Info, Item, Member, Part, Window
from pileus.drivers.object.listing.placement import Placement
from pileus.drivers.object.listing.router import Router
from pileus.drivers.object.listing.sqlite import SqliteMember
from pileus.kernel.clock import Clock, SystemClock
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError
from pileus.services.object_store.listings import (
    AccountInfo,
    AccountLeaving,
    Ask,
    ContainerInfo,
    Form,
    Metadata,
    NoSuchContainer,
    NotEmpty,
    ObjectEntry,
)

DEEPEST = 8
"""So many shards of shards are followed: there are two or three where one is being split."""


class RingListings:
    """`folder` keeps what is this one's own: how far it was told, and what members have not been told."""

    def __init__(self, placement: Placement, folder: Path, clock: Clock) -> None:
        self._mark = folder / "told"
        self._clock = clock
        self.backlog = Backlog(folder)
        self.router = Router(placement, self.backlog)
        self.entering = Entering(self.router)
        self._words: dict[int, str] = {}
        self._last = 0

    async def start(self) -> str:
        await asyncio.to_thread(self.backlog.start)
        for member in self.router.placement.members.values():
            await member.start()
        return self._mark.read_text() if self._mark.exists() else ""

    async def close(self) -> None:
        await self.entering.flush()
        for member in self.router.placement.members.values():
            await member.close()
        await asyncio.to_thread(self.backlog.close)

    def _now(self, *before: Timestamp) -> Timestamp:
        """Later than any before."""
        now = Timestamp.at(self._clock.now().timestamp()).units
        self._last = max(now, self._last + 1, *(each.units + 1 for each in before))
        return Timestamp(self._last)

    async def _existing(self, path: str) -> Info | None:
        info = await self.router.info(path)
        return info if info is not None and info.exists else None

    async def account(self, account: str) -> AccountInfo | None:
        await self.entering.flush()
        info = await self._existing(account)
        if info is None:
            return None
        return AccountInfo(
            info.life.created_at,
            info.metadata,
            info.containers,
            info.objects,
            info.bytes_used,
            info.policies,
        )

    async def word(self, account: str, container: str | None = None) -> str | None:
        return None

    async def set_account(self, account: str, now: Timestamp, change: Callable[[Metadata], Metadata]) -> None:
        info = await self.router.info(account)
        _require_gone(account, info)
        old = info.metadata if info is not None and info.exists else {}
        items = _difference(old, change(old), now)
        if info is None or not info.exists or items:
            await self.router.change(account, Change(put_at=_after(now, info), items=items), make=True)

    async def delete_account(self, account: str) -> bool:
        await self.entering.flush()
        info = await self._existing(account)
        if info is None:
            return False
        await self.router.change(account, Change(delete_at=self._now(info.life.put_at)))
        return True

    async def containers_left(self, account: str, marker: str, limit: int) -> list[str]:
        await self.entering.flush()
        parts = await self._parts(account, Ask(limit, marker), "json")
        rows = msgspec.json.decode(around(parts or [], "json", "account", account))
        return [row["name"] for row in rows]

    async def container(self, account: str, container: str) -> ContainerInfo | None:
        await self.entering.flush()
        info = await self._existing(path_of(account, container))
        if info is None:
            return None
        life = info.life
        return ContainerInfo(
            life.created_at, life.put_at, info.metadata, info.objects, info.bytes_used, life.policy
        )

    async def set_container(
        self,
        account: str,
        container: str,
        now: Timestamp,
        change: Callable[[Metadata], Metadata],
        *,
        make: bool,
        policy: int = 0,
    ) -> bool:
        path = path_of(account, container)
        info = await self.router.info(path)
        exists = info is not None and info.exists
        if not exists and not make:
            raise NoSuchContainer
        old = info.metadata if exists and info is not None else {}
        now = _after(now, info)
        if make and not exists:
            _require_gone(account, await self.router.info(account))
        asked = Change(put_at=now, policy=policy, items=_difference(old, change(old), now))
        # Where there is one, a replica without it is left to the replicator: made anew, it would be a list without rows.
        changed = await self.router.change(path, asked, make=make and not exists)
        if not changed and make:
            changed = await self.router.change(path, asked, make=True)
        if not changed:
            raise NoSuchContainer
        if make:
            await self.set_account(account, now, dict)
        newest = max((each.info for each in changed), key=lambda each: each.counted_at)
        await self._tell_account(account, container, newest)
        return any(each.made for each in changed) and not exists

    async def _tell_account(self, account: str, container: str, info: Info) -> None:
        life = info.life
        child = Child(
            container,
            life.put_at,
            life.delete_at,
            info.counted_at,
            info.objects,
            info.bytes_used,
            life.policy,
        )
        await self.entering.report(account, [child], durable=True)

    async def delete_container(self, account: str, container: str) -> None:
        await self.entering.flush()
        path = path_of(account, container)
        info = await self._existing(path)
        if info is None:
            raise NoSuchContainer
        for shard in info.ranges:
            part = await self.router.info(shard.shard) if shard.state == "created" else None
            if part is not None and part.objects:
                raise NotEmpty
        at = self._now(info.life.put_at)
        changed = await self.router.change(path, Change(delete_at=at), empty=True)
        if not changed:
            raise NoSuchContainer
        await self._tell_account(
            account, container, max((each.info for each in changed), key=lambda i: i.counted_at)
        )

    def note(self, account: str, container: str, entry: ObjectEntry) -> None:
        self.entering.note(account, container, entry)

    async def list_containers(self, account: str, ask: Ask, form: Form) -> bytes | None:
        await self.entering.flush()
        if await self._existing(account) is None:
            return None
        parts = await self._parts(account, ask, form)
        return None if parts is None else around(parts, form, "account", account)

    async def list_objects(self, account: str, container: str, ask: Ask, form: Form) -> bytes | None:
        await self.entering.flush()
        parts = await self._parts(path_of(account, container), ask, form)
        return None if parts is None else around(parts, form, "container", container)

    async def _parts(self, path: str, ask: Ask, form: Form) -> list[bytes] | None:
        pages = _Pages(ask)
        found = await self._read(path, pages, form, Window(), 0)
        return pages.parts if found else None

    async def _read(self, path: str, pages: _Pages, form: Form, window: Window, depth: int) -> bool:
        """Adds what is in the window; False where there is no such list."""
        while True:
            part = await self._part(path, pages.ask, form, window)
            if part is None:
                return False
            pages.add(part)
            shard = part.more
            if pages.ask.limit <= 0 or shard is None:
                return True
            within = Window(max(window.lower, shard.lower), _least(window.upper, shard.upper))
            if depth == DEEPEST or not await self._read(shard.shard, pages, form, within, depth + 1):
                raise DeviceError(f"{shard.shard}, which has a part of {path}, is not to be found")
            end = shard.lower if pages.ask.reverse else shard.upper
            if pages.ask.limit <= 0 or not end:
                return True
            window = window._replace(upper=end) if pages.ask.reverse else window._replace(lower=end)

    async def _part(self, path: str, ask: Ask, form: Form, window: Window) -> Part | None:
        async def asked(member: Member) -> Part | None:
            return await member.list(path, ask, form, window)

        return await self.router.first(path, asked)

    async def settle(self, mark: str) -> None:
        """Raises DeviceError where a list may have lost what it was told, and no other replica has it."""
        touched = await self.entering.begin_settling()
        members = self.router.placement.members
        words = await asyncio.gather(*(each.settle() for each in members.values()), return_exceptions=True)
        sure: set[str] = set()
        for device, word in zip(members, words, strict=True):
            if isinstance(word, str):
                if self._words.setdefault(device, word) == word:
                    sure |= touched.get(device, set())
                self._words[device] = word
            elif not isinstance(word, DeviceError):
                raise word
        lost = set().union(*touched.values()) - sure if touched else set()
        if lost:
            raise DeviceError(f"nobody has made {len(lost)} lists durable, {min(lost)} among them")
        await asyncio.to_thread(self._keep, mark)
        self.entering.settled(touched)

    def _keep(self, mark: str) -> None:
        self.backlog.settle()
        new = self._mark.with_suffix(".new")
        new.parent.mkdir(parents=True, exist_ok=True)
        with open(new, "w") as file:
            file.write(mark)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._mark)


class SqliteListings(RingListings):
    """On one disk, with one replica."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self.member = SqliteMember(folder, clock)
        super().__init__(Placement({0: self.member}), folder, clock)


class _Pages:
    """A list that comes in parts, and what is to be asked next."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.parts: list[bytes] = []

    def add(self, part: Part) -> None:
        if part.entries:
            self.parts.append(part.body)
            self.ask = self.ask._replace(limit=self.ask.limit - part.entries, marker=part.last)


def _require_gone(account: str, info: Info | None) -> None:
    if info is not None and not info.exists and info.containers:
        raise AccountLeaving(f"{account} is deleted, and what it had is on its way out")


def _least(one: str, other: str) -> str:
    """The lesser upper bound; empty is none."""
    return min(filter(None, (one, other)), default="")


def _difference(old: Mapping[str, str], new: Mapping[str, str], now: Timestamp) -> dict[str, Item]:
    changed = {name: Item(now, value) for name, value in new.items() if old.get(name) != value}
    removed = {name: Item(now, "") for name in old if name not in new}
    return {**changed, **removed}


def _after(now: Timestamp, info: Info | None) -> Timestamp:
    """Clocks differ: what a client does now comes after what was done before."""
    return now if info is None else max(now, Timestamp(info.life.delete_at.units + 1))
