"""Services bound to what they need: each other's public APIs, drivers, settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from pileus.app.settings import Settings
from pileus.drivers.image.file import FileStore
from pileus.kernel.api import common
from pileus.kernel.api.application import Application
from pileus.kernel.api.auth import Revision, TokenCache
from pileus.kernel.api.service import Runtime, Service
from pileus.kernel.clock import Clock
from pileus.kernel.db import Database
from pileus.kernel.events import Events
from pileus.kernel.policy import Enforcer
from pileus.kernel.work import Program, Work
from pileus.services.identity import service as identity
from pileus.services.identity.keys import KeyFolder
from pileus.services.identity.state import IdentityState
from pileus.services.image import service as image
from pileus.services.image.driver import Store as ImageStore
from pileus.services.image.state import ImageState
from pileus.services.image.work import ImageProgram

SERVICES: tuple[Service, ...] = (common.service, identity, image)


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
        overrides: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.settings, self.state, self.db, self.clock, self.work = settings, state, db, clock, work
        self.events = Events(db, clock)
        keys = KeyFolder(state / "identity" / "fernet-keys", settings.identity.keys_kept)
        self.identity = IdentityState(db, keys, clock, revision, settings.identity)
        authenticate = TokenCache(self.identity.context, revision, clock)
        self._by_type = {
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
        self._by_type["identity"].state = self.identity

    async def start_drivers(self, undo: AsyncExitStack) -> None:
        """Hosts, networks and stores; what is started is let go of by `undo`."""
        self._files: ImageStore = FileStore(self.state / "images")
        await self._files.start()
        self._by_type["image"].state = ImageState(self._files, self.settings.image)

    def runtimes(self) -> Sequence[Runtime]:
        return list(self._by_type.values())

    def connect(self, application: Application) -> None:
        """Binds needs to the application that now serves all."""

    def programs(self) -> list[Program]:
        return [ImageProgram(self.db, self._files)]

    async def first_rows(self) -> None:
        """What a new cloud has from the start: flavors, an external network."""
