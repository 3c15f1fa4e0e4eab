"""Services bound to what they need: each other's public APIs, drivers, settings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from pileus.app import services
from pileus.app.parts import Bench, make_parts
from pileus.app.settings import Settings
from pileus.kernel.api import common
from pileus.kernel.api.application import Application
from pileus.kernel.api.auth import Revision, TokenCache
from pileus.kernel.api.service import Runtime
from pileus.kernel.clock import Clock
from pileus.kernel.db import Database
from pileus.kernel.events import Events
from pileus.kernel.http.caller import AsgiPeer
from pileus.kernel.policy import Enforcer
from pileus.kernel.work import Program, Work
from pileus.services.identity import bootstrap as identity_bootstrap
from pileus.services.identity.keys import KeyFolder
from pileus.services.identity.state import IdentityState
from pileus.services.identity.tokens import FernetTokens, TokenForm


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
        self.db = db
        self.events = Events(db, clock)
        keys = KeyFolder(state / "identity" / "fernet-keys", settings.identity.keys_kept)
        credential_keys = KeyFolder(state / "identity" / "credential-keys")
        tokens = _token_form(settings, state, keys)
        identity_state = IdentityState(db, keys, clock, revision, settings.identity, credential_keys, tokens)
        authenticate = TokenCache(identity_state.context, revision, clock)
        names = services.chosen(settings)
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
                front_proxy=settings.front_proxy,
            )
            for service in services.running(settings)
        }
        self._identity = identity_state
        if "identity" in self._runtimes:
            self._runtimes["identity"].state = identity_state
        self.application = Application(self._runtimes.values(), self.fallback_dialect)
        bench = Bench(
            settings,
            state,
            db,
            clock,
            work,
            self.events,
            revision,
            authenticate,
            node,
            self._runtimes,
            self._peer,
        )
        self._parts = make_parts(bench, names)

    def _peer(self, kind: str) -> AsgiPeer:
        """A service that does not run here answers 404 to everything."""
        return AsgiPeer(self.application, services.load(kind)[1].path)

    async def start_drivers(self, undo: AsyncExitStack) -> None:
        """Hosts, networks, stores and directories; what is started is let go of by `undo`."""
        mirroring = asyncio.create_task(self._identity.directories.keep())
        undo.callback(mirroring.cancel)
        for part in self._parts:
            await part.start(undo)

    def programs(self) -> Sequence[Program]:
        """Of all services; drivers must have been started."""
        return [program for part in self._parts for program in part.programs()]

    async def attach(self) -> None:
        """Once the engine of strands runs: drivers are heard, and a new cloud gets its first rows."""
        admin_project = await self.db.read(identity_bootstrap.admin_project_id)
        for part in self._parts:
            await part.attach(admin_project)
