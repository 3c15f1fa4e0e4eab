"""Services bound to what they need: each other's public APIs, drivers, settings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from pileus.app import drivers
from pileus.app.settings import Settings
from pileus.kernel.api import common
from pileus.kernel.api.application import Application
from pileus.kernel.api.auth import Revision, TokenCache
from pileus.kernel.api.service import Runtime, Service
from pileus.kernel.clock import Clock
from pileus.kernel.db import Database
from pileus.kernel.events import Events
from pileus.kernel.http.caller import AsgiPeer
from pileus.kernel.policy import Enforcer
from pileus.kernel.work import Program, Work
from pileus.services.compute import bootstrap as compute_bootstrap
from pileus.services.compute import needs as compute_needs
from pileus.services.compute import service as compute
from pileus.services.compute import work as compute_work
from pileus.services.compute.metadata_service import MetadataService
from pileus.services.compute.state import ComputeState
from pileus.services.identity import bootstrap as identity_bootstrap
from pileus.services.identity import service as identity
from pileus.services.identity.keys import KeyFolder
from pileus.services.identity.state import IdentityState
from pileus.services.identity.tokens import FernetTokens, TokenForm
from pileus.services.image import service as image
from pileus.services.image import work as image_work
from pileus.services.image.metadef import catalogue as metadef_catalogue
from pileus.services.image.needs import Catalog, IdentityLimits
from pileus.services.network import bootstrap as network_bootstrap
from pileus.services.network import needs as network_needs
from pileus.services.network import service as network
from pileus.services.network import work as network_work
from pileus.services.network.state import State as NetworkState
from pileus.services.object_store import s3
from pileus.services.object_store import service as object_store
from pileus.services.object_store.encryption import encrypted
from pileus.services.object_store.needs import IdentityKeys
from pileus.services.object_store.state import ObjectStoreState
from pileus.services.placement import service as placement
from pileus.services.placement.state import PlacementState

SERVICES: tuple[Service, ...] = (
    common.service,
    identity,
    image,
    placement,
    network,
    compute,
    object_store,
    s3,
)


def _token_form(settings: Settings, state: Path, keys: KeyFolder) -> TokenForm:
    if settings.identity.token_provider == "fernet":
        return FernetTokens(keys)
    from pileus.services.identity.jws import JwsKeys, JwsTokens

    return JwsTokens(JwsKeys(state / "identity" / "jws-keys"))


class Bindings:
    """Makes the runtimes, and hands each service what its `needs` and programs ask for."""

    fallback_dialect = common.PLAIN

    def __init__(
        self,
        settings: Settings,
        state: Path,
        db: Database,
        clock: Clock,
        work: Work,
        revision: Revision,
        node: str,
        overrides: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.settings, self.state, self.db, self.clock, self.work, self.node = (
            settings,
            state,
            db,
            clock,
            work,
            node,
        )
        self.events = Events(db, clock)
        keys = KeyFolder(state / "identity" / "fernet-keys", settings.identity.keys_kept)
        credential_keys = KeyFolder(state / "identity" / "credential-keys")
        tokens = _token_form(settings, state, keys)
        identity_state = IdentityState(db, keys, clock, revision, settings.identity, credential_keys, tokens)
        authenticate = TokenCache(identity_state.context, revision, clock)
        self._runtimes = {
            service.type: Runtime(
                service=service,
                db=db,
                clock=clock,
                enforcer=Enforcer(service.rules, overrides.get(service.type)),
                authenticate=authenticate,
                work=work,
                events=self.events,
                revision=revision,
                public_url=settings.public_url,
            )
            for service in SERVICES
        }
        self._identity = identity_state
        self._runtimes["identity"].state = identity_state
        devices, listings, daemons = drivers.object_store(settings, state, clock)
        disk = encrypted(
            devices,
            listings,
            state / "object-store" / "encryption-secrets",
            settings.object_store.encryption_secrets,
            on=settings.object_store.encryption,
        )
        self._objects = ObjectStoreState(*disk, daemons, clock, settings.object_store)
        self._runtimes["object-store"].state = self._runtimes["s3"].state = self._objects
        self._runtimes["placement"].state = PlacementState(settings.placement)
        hosts = drivers.hosts(settings, state, node, clock)
        self._compute = ComputeState(db, clock, work, self.events, hosts, settings.compute)
        self._runtimes["compute"].state = self._compute
        self.application = Application(self._runtimes.values(), self.fallback_dialect)
        self._images = replace(
            drivers.image_stores(settings.image, state / "image", node),
            limits=IdentityLimits(self._peer(identity), clock),
            regions=Catalog(self._peer(identity)),
        )
        self._runtimes["image"].state = self._images
        self._needs = compute_needs.bind(self._peer(image), self._peer(network), self._peer(placement))
        self._runtimes["compute"].needs = self._needs
        self._runtimes["s3"].needs = IdentityKeys(self._peer(identity), authenticate, revision, clock)
        self._runtimes["network"].needs = network_needs.bind(self._peer(compute))
        self._metadata = MetadataService(self._compute, self._needs.networks)

    def _peer(self, service: Service) -> AsgiPeer:
        return AsgiPeer(self.application, service.path)

    async def start_drivers(self, undo: AsyncExitStack) -> None:
        """Hosts, networks, stores and directories; what is started is let go of by `undo`."""
        mirroring = asyncio.create_task(self._identity.directories.keep())
        undo.callback(mirroring.cancel)
        await self._images.start()
        undo.push_async_callback(self._images.close)
        await self._objects.start()
        undo.push_async_callback(self._objects.close)
        engine = drivers.network_engine(self.settings, self.state, self.node, metadata=self._metadata)
        capabilities = await engine.start()
        undo.push_async_callback(engine.close)
        self._runtimes["network"].state = NetworkState(
            engine=engine, capabilities=capabilities, host=self.node, settings=self.settings.network
        )
        await self._compute.start()
        undo.push_async_callback(self._compute.close)

    def programs(self) -> Sequence[Program]:
        """Of all services; drivers must have been started."""
        return [
            *image_work.programs(self._runtimes["image"]),
            *network_work.programs(self._runtimes["network"]),
            *compute_work.programs(self._compute, self._needs),
        ]

    async def attach(self) -> None:
        """Once the engine of strands runs: drivers are heard, and a new cloud gets its first rows."""
        await network_work.attach(self._runtimes["network"])
        await self.db.write(compute_bootstrap.lay)
        await self.db.write(metadef_catalogue.lay)
        admin_project = await self.db.read(identity_bootstrap.admin_project_id)
        if admin_project is not None:
            await network_bootstrap.first_rows(self._runtimes["network"], admin_project)
