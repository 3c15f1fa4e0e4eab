"""What a deleted account had goes: what it had in hidden accounts, objects, containers, then the account itself.

Which accounts are to be reaped stands in a list like any other: an account that no project has holds a container of each
one's name. Until all of it is gone, an account is not made again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import msgspec

from pileus.kernel.clock import Clock
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import hidden
from pileus.services.object_store.daemons import Walk
from pileus.services.object_store.driver import DeviceError, Superseded
from pileus.services.object_store.listings import Ask, Listings, NoSuchContainer, NotEmpty
from pileus.services.object_store.name import Name

ACCOUNT = ".deleted_accounts"
PAGE = 1000
PASSES = 2
"""Lists follow objects: what came into one while it was emptied is seen the second time."""


class Deleting(Protocol):
    """The one verb of `ObjectDevice` that is needed."""

    async def delete(self, key: bytes, path: str, timestamp: Timestamp) -> None: ...


async def delete_account(listings: Listings, account: str, now: Timestamp) -> bool:
    """Durable; False where there was none. From then on it is reaped."""
    if await listings.account(account) is None:
        return False
    await listings.set_container(ACCOUNT, account, now, dict, make=True)
    for kind in hidden.KINDS:
        await listings.delete_account(hidden.account(kind, account))
    return await listings.delete_account(account)


class Reaper:
    """The daemon. Accounts are let be for `delay_seconds` after their deletion; `gone` hears of each container's end."""

    name = "account-reaper"

    def __init__(
        self,
        device_of: Callable[[Name], Awaitable[Deleting]],
        listings: Listings,
        clock: Clock,
        now: Callable[[], Timestamp],
        key: Callable[[str], bytes],
        gone: Callable[[Name], Awaitable[None]],
        *,
        delay_seconds: float,
        every_seconds: float,
        per_second: float = 100.0,
    ) -> None:
        self._device_of = device_of
        self._listings = listings
        self._clock = clock
        self._now = now
        self._key = key
        self._gone = gone
        self._delay_seconds = delay_seconds
        self.every_seconds = every_seconds
        self.per_second = per_second

    async def walk(self, walk: Walk) -> None:
        account = ""
        while accounts := await _names(self._listings.list_containers(ACCOUNT, _page(account), "json")):
            for account in accounts:
                try:
                    await self._account(account, walk)
                except DeviceError:
                    walk.count(failed=1)
                await walk.step("")

    async def _account(self, account: str, walk: Walk) -> None:
        deleted = await self._listings.container(ACCOUNT, account)
        if deleted is None:
            return
        if await self._listings.account(account) is not None:
            await self._done(account)
            walk.count(came_back=1)
            return
        if deleted.created.seconds + self._delay_seconds > self._clock.now().timestamp():
            walk.count(waiting=1)
            return
        # The account's own containers last: until they are gone, it is not made again.
        for each in (*(hidden.account(kind, account) for kind in hidden.KINDS), account):
            if await self._containers(each, walk):
                return
        await self._done(account)
        walk.count(accounts=1)

    async def _containers(self, account: str, walk: Walk) -> int:
        """How many are left."""
        left, marker = 0, ""
        while containers := await self._listings.containers_left(account, marker, PAGE):
            for container in containers:
                if not await self._container(account, container, walk):
                    left += 1
                    continue
                await self._gone(Name(account, container))
            marker = containers[-1]
        return left

    async def _done(self, account: str) -> None:
        with suppress(NoSuchContainer):  # another host's reaper was faster
            await self._listings.delete_container(ACCOUNT, account)

    async def _container(self, account: str, container: str, walk: Walk) -> bool:
        """Whether it is gone."""
        for _ in range(PASSES):
            await self._objects(account, container, walk)
            try:
                await self._listings.delete_container(account, container)
            except NotEmpty:
                continue
            except NoSuchContainer:
                return True
            walk.count(containers=1)
            return True
        return False

    async def _objects(self, account: str, container: str, walk: Walk) -> None:
        marker = ""
        while names := await _names(self._listings.list_objects(account, container, _page(marker), "json")):
            for marker in names:
                name = Name(account, container, marker)
                try:
                    device = await self._device_of(name)
                    await device.delete(self._key(name.path), name.path, self._now())
                    walk.count(objects=1)
                except Superseded:
                    walk.count(objects=1)
                except DeviceError:
                    walk.count(failed=1)
                await walk.step("")


def _page(marker: str) -> Ask:
    return Ask(marker=marker, limit=PAGE)


class _Row(msgspec.Struct):
    name: str


_decode = msgspec.json.Decoder(list[_Row]).decode


async def _names(listed: Awaitable[bytes | None]) -> list[str]:
    return [row.name for row in _decode(await listed or b"[]")]
