"""What a deleted account had goes: objects, then containers, then the account itself.

Which accounts are to be reaped stands in a list like any other: an account that no project has holds a container of each
one's name. Until all of it is gone, an account is not made again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from pileus.kernel.clock import Clock
from pileus.lib.timestamp import Timestamp
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
    return await listings.delete_account(account)


class Reaper:
    """The daemon. Accounts are let be for `delay_seconds` after their deletion."""

    name = "account-reaper"

    def __init__(
        self,
        device_of: Callable[[Name], Awaitable[Deleting]],
        listings: Listings,
        clock: Clock,
        now: Callable[[], Timestamp],
        key: Callable[[str], bytes],
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
        self._delay_seconds = delay_seconds
        self.every_seconds = every_seconds
        self.per_second = per_second

    async def walk(self, walk: Walk) -> None:
        account = ""
        while True:
            asked = Ask(marker=account, limit=PAGE)
            body = await self._listings.list_containers(ACCOUNT, asked, "plain")
            accounts = (body or b"").decode().splitlines()
            for account in accounts:
                try:
                    await self._account(account, walk)
                except DeviceError:
                    walk.count(failed=1)
                await walk.step("")
            if len(accounts) < PAGE:
                return

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
        left = 0
        marker = ""
        while containers := await self._listings.containers_left(account, marker, PAGE):
            for container in containers:
                left += not await self._container(account, container, walk)
            marker = containers[-1]
        if not left:
            await self._done(account)
            walk.count(accounts=1)

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
        while True:
            asked = Ask(marker=marker, limit=PAGE)
            body = await self._listings.list_objects(account, container, asked, "plain")
            if not body:
                return
            for marker in body.decode().removesuffix("\n").split("\n"):
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
