"""What a deleted account had goes: what it had in hidden accounts, objects, containers, then the account itself.

Which accounts are to be reaped stands in a list like any other: an account that no project has holds a container of each
one's name. Until all of it is gone, an account is not made again.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import hidden
from pileus.services.object_store.daemons import Walk
from pileus.services.object_store.driver import DeviceError, Superseded
from pileus.services.object_store.listings import Listings, NoSuchContainer, NotEmpty
from pileus.services.object_store.name import Name
from pileus.services.object_store.rows import PAGE, containers, rows

if TYPE_CHECKING:
    from pileus.services.object_store.state import ObjectStoreState

ACCOUNT = ".deleted_accounts"
PASSES = 2
"""Lists follow objects: what came into one while it was emptied is seen the second time."""


async def delete_account(listings: Listings, account: str, now: Timestamp) -> bool:
    """Durable; False where there was none. From then on it is reaped."""
    if await listings.account(account) is None:
        return False
    await listings.set_container(ACCOUNT, account, now, dict, make=True)
    for kind in hidden.KINDS:
        await listings.delete_account(hidden.account(kind, account))
    return await listings.delete_account(account)


class Reaper:
    """The daemon. Accounts are let be for some time after their deletion."""

    name = "account-reaper"
    per_second = 100.0

    def __init__(self, state: ObjectStoreState) -> None:
        self._state = state
        self._listings = state.listings
        self._delay_seconds = state.settings.account_reaper_delay_seconds
        self.every_seconds = state.settings.account_reaper_interval_seconds

    async def walk(self, walk: Walk) -> None:
        async for account in containers(self._listings, ACCOUNT):
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
        if deleted.created.seconds + self._delay_seconds > self._state.clock.now().timestamp():
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
        while left_over := await self._listings.containers_left(account, marker, PAGE):
            for container in left_over:
                if not await self._container(account, container, walk):
                    left += 1
                    continue
                await self._gone(Name(account, container))
            marker = left_over[-1]
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
        state = self._state
        async for row in rows(state.listings, account, container):
            name = Name(account, container, row["name"])
            try:
                device = await state.device_of(name)
                await device.delete(state.key(name), name.path, state.now())
                walk.count(objects=1)
            except Superseded:
                walk.count(objects=1)
            except DeviceError:
                walk.count(failed=1)
            await walk.step("")

    async def _gone(self, name: Name) -> None:
        """A container is gone: whoever remembers it forgets it."""
        from pileus.services.object_store.s3 import registry

        state = self._state
        state.forget(name.account, name.container)
        if state.following.follows(name):
            state.following.forget(name)
        await registry.release(state, name.container, name.account)
