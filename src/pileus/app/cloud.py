"""One process of a cloud: database, services, drivers, engine, server, in the order in which they come and go."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import shlex
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from pileus.app import services
from pileus.app.bindings import Bindings
from pileus.app.examine import require_host
from pileus.app.settings import Settings
from pileus.cli.composition import Progress
from pileus.kernel.api.application import Application
from pileus.kernel.api.auth import Revision
from pileus.kernel.api.service import Service
from pileus.kernel.clock import Clock, SystemClock
from pileus.kernel.db import Database, Tx, open_database
from pileus.kernel.files import write_whole
from pileus.kernel.http.server import Server, check_address
from pileus.kernel.policy import parse_overrides
from pileus.kernel.work import Engine, Work
from pileus.migrations import lay
from pileus.services.identity import bootstrap
from pileus.services.identity.passwords import Passwords


class AlreadyRunning(Exception):
    """Another process has this state directory."""


def node_name(settings: Settings) -> str:
    """This process among all that share the database."""
    return settings.node or socket.gethostname()


class LocalCloud:
    """Start it, stop it, once each."""

    def __init__(self, settings: Settings, state: Path, clock: Clock | None = None) -> None:
        self.settings = settings
        self.state = state
        self.clock = clock or SystemClock()
        self.node = node_name(settings)
        self.revision: Revision
        self.work = Work()
        self.application: Application
        self.db: Database
        self._lock: IO[str] | None = None
        self._undo = contextlib.AsyncExitStack()

    async def start(self, progress: Progress) -> None:
        """Returns when clients are answered. Raises AlreadyRunning, or what the failing part says; then all is undone."""
        try:
            await self._start(progress)
        except BaseException:
            await self.stop()
            raise

    async def _start(self, progress: Progress) -> None:
        self._take_lock()
        host, port = self.settings.address
        check_address(host, port)
        if services.needs_host(self.settings):
            require_host(self.settings, self.state)
        progress("database")
        url = self.settings.database_url or f"sqlite:///{self.state / 'pileus.db'}"
        self.db = open_database(url, self.clock)
        self._undo.push_async_callback(self.db.close)
        self.revision = Revision(self.db.signal("tokens"))
        first_hash = self._first_password()
        await lay.prepare(self.db)
        await self._bootstrap_identity(first_hash)
        bindings = Bindings(
            self.settings,
            self.state,
            self.db,
            self.clock,
            self.work,
            self.revision,
            self.node,
            _overrides(self.settings),
        )
        progress("drivers")
        await bindings.start_drivers(self._undo)
        self.application = bindings.application
        engine = Engine(self.db, self.clock, self.work, bindings.programs(), node=self.node)
        await engine.start()
        self._undo.push_async_callback(engine.stop)
        await bindings.attach()
        trimming = asyncio.create_task(bindings.events.keep_trimmed())
        self._undo.callback(trimming.cancel)
        progress("API")
        server = Server(self.application, host, port)
        await server.start()
        self._undo.push_async_callback(server.stop)

    async def stop(self) -> None:
        await self._undo.aclose()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> None:
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = open(self.state / "lock", "w")  # noqa: SIM115 - held for the life of the process
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            self._lock = None
            raise AlreadyRunning(f"a cloud is running on {self.state} already") from None

    def _first_password(self) -> asyncio.Task[str] | None:
        """At the first start, the administrator's: written down, its hash in the making, which takes as long as the tables."""
        file = self.state / "admin-password"
        if file.exists():
            return None
        password = os.environ.get("PILEUS_ADMIN_PASSWORD") or secrets.token_urlsafe(18)
        write_whole(file, f"{password}\n".encode())
        return asyncio.create_task(self._hash(password))

    async def _hash(self, password: str) -> str:
        return await Passwords(self.settings.identity.password_hash_cost).hash(password)

    async def _bootstrap_identity(self, first_hash: asyncio.Task[str] | None) -> None:
        """The first rows at the first start, and a catalog that says where we are at every start."""
        password = (self.state / "admin-password").read_text().strip()
        if await self.db.read(bootstrap.is_empty):
            await self.db.write(bootstrap.lay, await (first_hash or self._hash(password)))
        running = services.running(self.settings)
        await self.db.write(_publish, self.settings.region, catalog(running, self.settings.base_url))
        write_whole(self.state / "clouds.yaml", clouds_yaml(self.settings, password).encode())
        write_whole(self.state / "openrc", openrc(self.settings, password).encode())


def _publish(tx: Tx, region: str, entries: list[bootstrap.CatalogEntry]) -> None:
    bootstrap.publish(tx, region, entries)


def catalog(running: tuple[Service, ...], base_url: str) -> list[bootstrap.CatalogEntry]:
    """What the catalog says of our services, aliases included."""
    return [
        bootstrap.CatalogEntry(kind, service.name, base_url + (service.catalog_path or service.path))
        for service in running
        if service.listed
        for kind in (service.type, *service.aliases)
    ]


def _overrides(settings: Settings) -> Mapping[str, Mapping[str, object]]:
    return {kind: parse_overrides(Path(file).read_text()) for kind, file in settings.policy_files.items()}


def clouds_yaml(settings: Settings, password: str) -> str:
    """For the stock client: `OS_CLIENT_CONFIG_FILE=…/clouds.yaml openstack --os-cloud pileus …`."""
    entry = """  {name}:
    auth:
      auth_url: {url}/identity/v3
      username: admin
      password: {password}
      user_domain_name: Default
{scope}    region_name: {region}
    identity_api_version: 3
"""
    project = "      project_name: admin\n      project_domain_name: Default\n"
    # A JSON string is a YAML one, whatever is in it.
    common = {"url": settings.base_url, "password": json.dumps(password), "region": settings.region}
    return (
        "# Written by `pileus up` at every start.\nclouds:\n"
        + entry.format(name="pileus", scope=project, **common)
        + entry.format(name="pileus-system", scope="      system_scope: all\n", **common)
    )


def openrc(settings: Settings, password: str) -> str:
    """The same as shell variables, for clients that read no clouds.yaml: `. openrc; swift stat`."""
    variables = {
        "OS_AUTH_URL": f"{settings.base_url}/identity/v3",
        "OS_IDENTITY_API_VERSION": "3",
        "OS_USERNAME": "admin",
        "OS_PASSWORD": password,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_NAME": "admin",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": settings.region,
    }
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    return "# Written by `pileus up` at every start.\n" + "".join(lines)
