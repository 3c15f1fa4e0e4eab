"""Services that run or don't, each with its drivers, needs and programs. `Bindings` makes those that are chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from pileus.app import drivers
from pileus.app.objects import object_store
from pileus.app.settings import Settings
from pileus.drivers.object.remote import HttpRemote
from pileus.kernel.api.auth import Revision, TokenCache
from pileus.kernel.api.service import Runtime
from pileus.kernel.clock import Clock
from pileus.kernel.db import Database
from pileus.kernel.events import Events
from pileus.kernel.http.caller import AsgiPeer
from pileus.kernel.work import Program, Work
from pileus.services.compute import bootstrap as compute_bootstrap
from pileus.services.compute import needs as compute_needs
from pileus.services.compute import work as compute_work
from pileus.services.compute.metadata_service import MetadataService
from pileus.services.compute.state import ComputeState
from pileus.services.image import work as image_work
from pileus.services.image.metadef import catalogue
from pileus.services.image.needs import Catalog, IdentityLimits
from pileus.services.network import bootstrap as network_bootstrap
from pileus.services.network import needs as network_needs
from pileus.services.network import work as network_work
from pileus.services.network.state import State as NetworkState
from pileus.services.object_store.container_sync import ContainerSync
from pileus.services.object_store.encryption import encrypted
from pileus.services.object_store.needs import IdentityKeys
from pileus.services.object_store.s3 import daemons as s3_daemons
from pileus.services.object_store.state import ObjectStoreState
from pileus.services.object_store.version_settler import VersionSettler
from pileus.services.placement.state import PlacementState


class Bench:
    """What every part is made with."""

    def __init__(
        self,
        settings: Settings,
        state: Path,
        db: Database,
        clock: Clock,
        work: Work,
        events: Events,
        revision: Revision,
        authenticate: TokenCache,
        node: str,
        runtimes: Mapping[str, Runtime],
        peer: Callable[[str], AsgiPeer],
    ) -> None:
        self.settings, self.state, self.db, self.clock, self.work = settings, state, db, clock, work
        self.events, self.revision, self.authenticate, self.node = events, revision, authenticate, node
        self.runtimes = runtimes
        self.peer = peer
        """The public API of the service of that type, from inside."""


class Part(Protocol):
    async def start(self, undo: AsyncExitStack) -> None:
        """Starts drivers; `undo` lets go of them."""

    def programs(self) -> Sequence[Program]:
        """Drivers must have been started."""

    async def attach(self, admin_project: str | None) -> None:
        """Once the engine of strands runs: drivers are heard, and a new cloud gets its first rows."""


class Images:
    def __init__(self, bench: Bench) -> None:
        self._db = bench.db
        self._runtime = bench.runtimes["image"]
        self._images = replace(
            drivers.image_stores(bench.settings.image, bench.state / "image", bench.node),
            limits=IdentityLimits(bench.peer("identity"), bench.clock),
            regions=Catalog(bench.peer("identity")),
        )
        self._runtime.state = self._images

    async def start(self, undo: AsyncExitStack) -> None:
        await self._images.start()
        undo.push_async_callback(self._images.close)

    def programs(self) -> Sequence[Program]:
        return image_work.programs(self._runtime)

    async def attach(self, admin_project: str | None) -> None:
        await self._db.write(catalogue.lay)


class Objects:
    def __init__(self, bench: Bench) -> None:
        made = object_store(bench.settings.object_store, bench.state / "object-store", bench.clock)
        disk = encrypted(
            made.devices,
            made.listings,
            bench.state / "object-store" / "encryption-secrets",
            made.settings.encryption_secrets,
            on=made.settings.encryption,
        )
        self._objects = ObjectStoreState(*disk, made.daemons, bench.clock, made.settings, made.recon)
        for daemon in s3_daemons(self._objects, bench.clock):
            made.daemons.add(daemon)
        made.daemons.add(VersionSettler(self._objects))
        if made.settings.container_sync.realms:
            made.daemons.add(ContainerSync(self._objects, HttpRemote(), bench.settings.base_url))
        bench.runtimes["object-store"].state = bench.runtimes["s3"].state = self._objects
        bench.runtimes["s3"].needs = IdentityKeys(
            bench.peer("identity"), bench.authenticate, bench.revision, bench.clock
        )

    async def start(self, undo: AsyncExitStack) -> None:
        await self._objects.start()
        undo.push_async_callback(self._objects.close)

    def programs(self) -> Sequence[Program]:
        return ()

    async def attach(self, admin_project: str | None) -> None:
        """Nothing is laid."""


class Inventory:
    def __init__(self, bench: Bench) -> None:
        bench.runtimes["placement"].state = PlacementState(bench.settings.placement)

    async def start(self, undo: AsyncExitStack) -> None:
        """There are no drivers."""

    def programs(self) -> Sequence[Program]:
        return ()

    async def attach(self, admin_project: str | None) -> None:
        """Nothing is laid."""


class Machines:
    """Compute and network, which can't do without each other."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        hosts = drivers.hosts(bench.settings, bench.state, bench.node, bench.clock)
        self._compute = ComputeState(
            bench.db, bench.clock, bench.work, bench.events, hosts, bench.settings.compute
        )
        self._needs = compute_needs.bind(bench.peer("image"), bench.peer("network"), bench.peer("placement"))
        self._network = bench.runtimes["network"]
        self._network.needs = network_needs.bind(bench.peer("compute"))
        bench.runtimes["compute"].state = self._compute
        bench.runtimes["compute"].needs = self._needs
        self._metadata = MetadataService(self._compute, self._needs.networks)

    async def start(self, undo: AsyncExitStack) -> None:
        bench = self._bench
        engine = drivers.network_engine(bench.settings, bench.state, bench.node, metadata=self._metadata)
        capabilities = await engine.start()
        undo.push_async_callback(engine.close)
        self._network.state = NetworkState(
            engine=engine, capabilities=capabilities, host=bench.node, settings=bench.settings.network
        )
        await self._compute.start()
        undo.push_async_callback(self._compute.close)

    def programs(self) -> Sequence[Program]:
        return [*network_work.programs(self._network), *compute_work.programs(self._compute, self._needs)]

    async def attach(self, admin_project: str | None) -> None:
        await network_work.attach(self._network)
        await self._bench.db.write(compute_bootstrap.lay)
        if admin_project is not None:
            await network_bootstrap.first_rows(self._network, admin_project)


PARTS: Mapping[str, Callable[[Bench], Part]] = {
    "image": Images,
    "object-store": Objects,
    "placement": Inventory,
    "compute": Machines,
}
"""By the service that they come with, in the order in which they start; identity is `Bindings`' own."""
