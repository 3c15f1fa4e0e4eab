"""What the object store holds in memory: its devices, its lists, what it knows of containers."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import lru_cache
from weakref import WeakValueDictionary

import structlog

from pileus.kernel.clock import Clock
from pileus.kernel.http.reply import OpenFile
from pileus.lib.ring.ring import NameHash
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import expirer, listed, metadata, unsettled
from pileus.services.object_store.access_log import AccessLog
from pileus.services.object_store.cnames import Cnames, Resolver
from pileus.services.object_store.daemons import Daemons
from pileus.services.object_store.driver import RECLAIM_SECONDS, DeviceError, ObjectDevice, OnFiles, Version
from pileus.services.object_store.expirer import Expirer
from pileus.services.object_store.following import Following
from pileus.services.object_store.listings import Ask, ContainerInfo, Form, Listings
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name
from pileus.services.object_store.policies import Policies
from pileus.services.object_store.rate_limit import RateLimits
from pileus.services.object_store.reaper import Reaper
from pileus.services.object_store.recon import Recon
from pileus.services.object_store.rings import Rings
from pileus.services.object_store.settings import Settings
from pileus.services.object_store.temp_auth import TempAuth
from pileus.services.object_store.words import Words

log = structlog.get_logger("pileus.object_store")
SETTLE_SECONDS = 30.0
REMEMBERED = 4096


class ObjectStoreState:
    def __init__(
        self,
        devices: Mapping[int, ObjectDevice],
        listings: Listings,
        daemons: Daemons,
        clock: Clock,
        settings: Settings,
        recon: Recon | None = None,
        rings: Callable[[], Rings] | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        """`devices` has one for each storage policy, by its index; `rings` says on which storage nodes they are."""
        self.devices = devices
        self.listings = listings
        self.daemons = daemons
        self.recon = recon or Recon(daemons)
        self.rings = rings
        self.settings = settings
        self.cnames = None if resolver is None else Cnames(resolver, clock, settings)
        self.policies = Policies(settings.policies)
        self._only = devices[0] if len(devices) == 1 else None
        self._files = self._only if isinstance(self._only, OnFiles) else None
        self.clock = clock
        self.operator_roles = frozenset(role.lower() for role in settings.operator_roles)
        self.reseller_admin_role = settings.reseller_admin_role.lower()
        name_hash = NameHash(settings.hash_prefix, settings.hash_suffix)
        self.key: Callable[[Name], bytes] = lru_cache(maxsize=1024)(lambda name: name_hash(name.path))
        """An object's, on its devices. One request asks for it up to three times."""
        self._last = 0
        self.is_shared = bool(settings.rings)
        """Whether other proxies have the same lists."""
        self._words = Words(listings, clock) if self.is_shared else None
        """Other proxies change the same lists: what is remembered of these goes with the word that it had."""
        self._containers: OrderedDict[tuple[str, str], tuple[str | None, ContainerInfo]] = OrderedDict()
        self._accounts: OrderedDict[str, tuple[str | None, Mapping[str, str]]] = OrderedDict()
        self._settled = ""
        self.access_log = AccessLog()
        self.turns: WeakValueDictionary[Name, asyncio.Lock] = WeakValueDictionary()
        """Of writes of an object that have conditions."""
        self.closing: list[Callable[[], Awaitable[None]]] = []
        """What is done before the devices close, when no daemon walks any more."""
        self.following = Following(listings, self.now)
        self.rates = RateLimits(
            clock,
            settings.account_ratelimit,
            settings.container_ratelimits,
            settings.ratelimit_max_sleep_seconds,
        )
        self.temp_auth = (
            TempAuth(
                settings.tempauth,
                clock,
                settings.operator_roles[0],
                settings.reseller_admin_role,
            )
            if settings.tempauth.users
            else None
        )
        self._settle_turn = asyncio.Lock()
        self._settling: asyncio.Task[None] | None = None
        daemons.add(Expirer(self))
        daemons.add(Reaper(self))

    async def start(self) -> None:
        self._settled = await self.listings.start()
        await expirer.prepare(self.listings, self.now())
        await unsettled.prepare(self.listings, self.now())
        await self.following.start()
        marks = dict(each.split("=", 1) for each in self._settled.split(";") if each)
        for index, device in self.devices.items():
            await device.start(self._heard, marks.get(str(index), ""))
        self._settling = asyncio.create_task(self._settle_forever())
        self.daemons.start()

    async def close(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
        await self.daemons.close()
        for last in self.closing:
            await last()
        for device in self.devices.values():
            await device.close()
        await self._settle()
        await self.listings.close()

    async def _settle_forever(self) -> None:
        while True:
            await self.clock.sleep(SETTLE_SECONDS)
            try:
                await asyncio.shield(self._settle())  # its thread can't be stopped: `close` waits for it
                forget = Timestamp.at(self.clock.now().timestamp() - RECLAIM_SECONDS)
                for device in self.devices.values():
                    await device.tidy(forget)
            except Exception:
                log.exception("lists can't be made durable; tried again")

    async def settle(self) -> None:
        """What the lists were told is durable when this returns, also what no object tells again."""
        await asyncio.shield(self._settle(always=True))

    async def _settle(self, *, always: bool = False) -> None:
        async with self._settle_turn:
            mark = ";".join(f"{index}={device.mark()}" for index, device in self.devices.items())
            if always or mark != self._settled:
                await self.listings.settle(mark)
                self._settled = mark

    def _heard(self, version: Version) -> None:
        self.following.heard(version)
        listed.note(self.listings, version)

    def now(self) -> Timestamp:
        """Later than any before."""
        self._last = max(Timestamp.at(self.clock.now().timestamp()).units, self._last + 1)
        return Timestamp(self._last)

    async def device_of(self, name: Name) -> ObjectDevice:
        """What the container's storage policy keeps its objects on. Where there is no such container, the default's."""
        if self._only is not None:
            return self._only
        container = await self.container(name.account, name.container)
        index = self.policies.default.index if container is None else container.policy
        if index not in self.devices:
            raise DeviceError(f"no storage policy with the index {index} is configured any more")
        return self.devices[index]

    async def find(self, name: Name) -> Version | None:
        """The object, unless it is deleted or its time has come, which takes it from clients, but none of its versions."""
        device = await self.device_of(name)
        version = await device.find(self.key(name))
        if version is None or version.deleted:
            return None
        if not expirer.may_expire(version.metadata) or expirer.is_kept(version.path):
            return version
        return None if self.has_expired(metadata.decode(version.metadata)) else version

    def has_expired(self, kept: ObjectMetadata) -> bool:
        return expirer.has_expired(kept, self.clock.now().timestamp())

    def opened(self, name: Name, version: Version) -> OpenFile | None:
        """A version that `find` gave, where all of it is one file of this host. Raises DeviceError."""
        return None if self._files is None else self._files.opened(self.key(name), version)

    def read(self, name: Name, version: Version, offset: int, length: int) -> AsyncIterator[bytes]:
        """Bytes of a version that `find` gave, as `ObjectDevice.read`."""
        if self._only is not None:
            return self._only.read(self.key(name), version, offset, length)
        return self._read(name, version, offset, length)

    async def _read(self, name: Name, version: Version, offset: int, length: int) -> AsyncIterator[bytes]:
        device = await self.device_of(name)
        async for chunk in device.read(self.key(name), version, offset, length):
            yield chunk

    async def list_objects(self, name: Name, ask: Ask, form: Form) -> bytes | None:
        """Of a container, with the sizes that reading the objects gives; None where there is none."""
        body = await self.listings.list_objects(name.account, name.container, ask, form)
        return None if body is None else listed.shown(body, form)

    async def container(self, account: str, container: str) -> ContainerInfo | None:
        """Remembered: its counts may be old."""
        at = (account, container)
        word = await self._words.of(account, container) if self._words is not None else None
        if (kept := self._containers.get(at)) is not None and word in (None, kept[0]):
            self._containers.move_to_end(at)
            return kept[1]
        found = await self.listings.container(account, container)
        if found is None:
            self._containers.pop(at, None)
        else:
            self._containers[at] = word, found
            self.following.notice(account, container, found.metadata)
            if len(self._containers) > REMEMBERED:
                self._containers.popitem(last=False)
        return found

    def forget(self, account: str, container: str) -> None:
        """After its metadata changed, or it went."""
        self._containers.pop((account, container), None)

    async def account_metadata(self, account: str) -> Mapping[str, str]:
        """Remembered, as `container`; none of an account that was never made."""
        word = await self._words.of(account) if self._words is not None else None
        if (kept := self._accounts.get(account)) is not None and word in (None, kept[0]):
            return kept[1]
        info = await self.listings.account(account)
        if info is None:
            self._accounts.pop(account, None)
            return {}
        self._accounts[account] = word, info.metadata
        if len(self._accounts) > REMEMBERED:
            self._accounts.popitem(last=False)
        return info.metadata

    def forget_account(self, account: str) -> None:
        """After its metadata changed, or it went."""
        self._accounts.pop(account, None)
