"""What the object store holds in memory: its devices, its lists, what it knows of containers."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import msgspec
import structlog

from pileus.kernel.clock import Clock
from pileus.lib.ring.ring import NameHash
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import expirer, listed, metadata
from pileus.services.object_store.access_log import AccessLog
from pileus.services.object_store.daemons import Daemons
from pileus.services.object_store.driver import DeviceError, ObjectDevice, Version
from pileus.services.object_store.expirer import Expirer
from pileus.services.object_store.following import Following, SyncSettings
from pileus.services.object_store.listings import ContainerInfo, Listings
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name
from pileus.services.object_store.policies import Policies, StoragePolicy
from pileus.services.object_store.rate_limit import RateLimits
from pileus.services.object_store.reaper import Reaper
from pileus.services.object_store.recon import Recon
from pileus.services.object_store.temp_auth import TempAuth, TempAuthSettings

log = structlog.get_logger("pileus.object_store")
SETTLE_SECONDS = 30.0
RECLAIM_SECONDS = 7 * 24 * 3600.0
"""For so long a deletion is remembered."""
REMEMBERED = 4096


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    operator_roles: tuple[str, ...] = ("admin", "member", "swiftoperator")
    """Roles that make a user the owner of the project's account."""
    reseller_admin_role: str = "ResellerAdmin"
    """The role that may do anything in any account."""
    hash_prefix: str = ""
    """Goes into the hash of every name; must never change once there are objects."""
    hash_suffix: str = ""
    """As `hash_prefix`."""
    max_file_size_gib: int = 5
    """Largest object in one piece."""
    container_sync: SyncSettings = SyncSettings()
    """Clouds that containers may follow into."""
    container_shard_rows: int = 1_000_000
    """A container with more objects is split into shards."""
    s3_domain: str = ""
    """Hosts under it are buckets' (`photos.s3.example.org` with `s3.example.org`); S3 also answers at the domain itself."""
    s3_lifecycle_interval_seconds: float = 3600.0
    """Between two walks over the buckets that have lifecycle rules."""
    s3_lifecycle_per_second: float = 500.0
    """Objects, versions and uploads that such a walk looks at in a second, at most."""
    s3_access_log_interval_seconds: float = 60.0
    """For so long at most requests that are logged wait in memory, before they are in the log's bucket."""
    s3_region: str = ""
    """The region that S3 requests must be signed for. Empty: any, as clients happen to be set up."""
    tempauth: TempAuthSettings = TempAuthSettings()
    """Users of the store's own, beside the identity service's."""
    read_only: bool = False
    """Whether nothing may be written, but for accounts that say otherwise."""
    read_only_allows_deletes: bool = False
    """Whether even then objects may be deleted."""
    quoted_etags: bool = False
    """Whether etags are in quotes where neither account nor container says."""
    account_ratelimit: float = 0.0
    """Containers that may be made and deleted in an account, a second; 0 for any number."""
    container_ratelimits: dict[str, float] = {}
    """Objects that may be written in a container, a second, by the number of objects from which on it holds."""
    ratelimit_max_sleep_seconds: float = 60.0
    """Who would have to wait for longer is refused."""
    forbidden_characters: str = ""
    """That no name may have."""
    storage_domains: tuple[str, ...] = ()
    """Hosts under these are accounts, and containers of accounts."""
    cross_domain_policy: str = '<allow-access-from domain="*" secure="false" />'
    """What `/crossdomain.xml` says."""
    expirer_interval_seconds: float = 300.0
    """How often objects are looked for whose time has come."""
    expirer_tasks_per_second: float = 50.0
    """Most that are deleted a second."""
    account_reaper_delay_seconds: float = 0.0
    """For so long what a deleted account had is let be."""
    account_reaper_interval_seconds: float = 300.0
    """How often deleted accounts are looked for."""
    encryption: bool = False
    """Whether what is written is encrypted; what was written before is read as it is."""
    encryption_secrets: dict[str, str] = {}
    """Root secrets by id, base64 of at least 32 bytes; the id that sorts last encrypts. Without any they are files in
    the state folder, of which the first is made."""
    devices: int | None = None
    """Folders that objects are spread over on this host; each is meant to be a disk of its own, mounted there. Left out:
    as many as there were at the last start, at first one."""
    replicas: int | None = None
    """Copies of each object, at most as many as there are devices. Left out: as at the last start, at first three."""
    rings: str = ""
    """Folder with the rings of a cluster (`container.ring.gz`, `object.ring.gz` …): storage nodes have everything then."""
    cluster_key: str = ""
    """The cluster's key, a file; `cluster.key` beside the rings by default."""
    read_affinity: str = ""
    """Regions and zones of the rings that this proxy reads from rather, as `r1=100, r2z3=200`: the lower, the nearer."""
    policies: tuple[StoragePolicy, ...] = ()
    """What containers can be promised; none: one policy, `Policy-0`."""


class ObjectStoreState:
    def __init__(
        self,
        devices: Mapping[int, ObjectDevice],
        listings: Listings,
        daemons: Daemons,
        clock: Clock,
        settings: Settings,
        recon: Recon | None = None,
    ) -> None:
        """`devices` has one for each storage policy, by its index."""
        self.devices = devices
        self.listings = listings
        self.daemons = daemons
        self.recon = recon or Recon(daemons)
        self.settings = settings
        self.policies = Policies(settings.policies)
        self._only = devices[0] if len(devices) == 1 else None
        self.clock = clock
        self._hash = NameHash(settings.hash_prefix, settings.hash_suffix)
        self._last = 0
        self._containers: OrderedDict[tuple[str, str], ContainerInfo | None] = OrderedDict()
        self._accounts: OrderedDict[str, Mapping[str, str]] = OrderedDict()
        self._settled = ""
        self.access_log = AccessLog()
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
        daemons.add(
            Expirer(
                self.device_of,
                listings,
                clock,
                self.now,
                self._hash,
                every_seconds=settings.expirer_interval_seconds,
                per_second=settings.expirer_tasks_per_second,
            )
        )
        daemons.add(
            Reaper(
                self.device_of,
                listings,
                clock,
                self.now,
                self._hash,
                delay_seconds=settings.account_reaper_delay_seconds,
                every_seconds=settings.account_reaper_interval_seconds,
            )
        )

    async def start(self) -> None:
        self._settled = await self.listings.start()
        await expirer.prepare(self.listings, self.now())
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

    def key(self, name: Name) -> bytes:
        return self._hash(name.path)

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
        """The object, unless it is deleted or its time has come."""
        device = await self.device_of(name)
        version = await device.find(self.key(name))
        if version is None or version.deleted:
            return None
        return None if self.has_expired(metadata.decode(version.metadata)) else version

    def has_expired(self, kept: ObjectMetadata) -> bool:
        return expirer.has_expired(kept, self.clock.now().timestamp())

    def read(self, name: Name, version: Version, offset: int, length: int) -> AsyncIterator[bytes]:
        """Bytes of a version that `find` gave, as `ObjectDevice.read`."""
        if self._only is not None:
            return self._only.read(self.key(name), version, offset, length)
        return self._read(name, version, offset, length)

    async def _read(self, name: Name, version: Version, offset: int, length: int) -> AsyncIterator[bytes]:
        device = await self.device_of(name)
        async for chunk in device.read(self.key(name), version, offset, length):
            yield chunk

    async def container(self, account: str, container: str) -> ContainerInfo | None:
        """Remembered: its counts may be old."""
        at = (account, container)
        if at in self._containers:
            self._containers.move_to_end(at)
            return self._containers[at]
        found = await self.listings.container(account, container)
        if found is not None:
            self._containers[at] = found
            if len(self._containers) > REMEMBERED:
                self._containers.popitem(last=False)
        return found

    def forget(self, account: str, container: str) -> None:
        """After its metadata changed, or it went."""
        self._containers.pop((account, container), None)

    async def account_metadata(self, account: str) -> Mapping[str, str]:
        """Remembered, as `container`; none of an account that was never made."""
        if account not in self._accounts:
            info = await self.listings.account(account)
            if info is None:
                return {}
            self._accounts[account] = info.metadata
            if len(self._accounts) > REMEMBERED:
                self._accounts.popitem(last=False)
        return self._accounts[account]

    def forget_account(self, account: str) -> None:
        """After its metadata changed, or it went."""
        self._accounts.pop(account, None)
