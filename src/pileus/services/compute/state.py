"""What compute keeps in memory: the hosts that this process looks after."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random

import structlog

from pileus.kernel.api.service import Runtime
from pileus.kernel.db import DatabaseGone, Tx
from pileus.lib.schedule import Scheduler, make_scheduler
from pileus.services.compute.hosts import Hosts
from pileus.services.compute.settings import Settings
from pileus.services.compute.store import host as store

log = structlog.get_logger("pileus.compute")
SEEN_EVERY_SECONDS = 10.0
"""How often a host says that it is there; a service that was silent for six times as long is down."""


class ComputeState:
    """One for each process. `start` before serving, `close` afterwards."""

    def __init__(self, runtime: Runtime, hosts: Hosts, settings: Settings | None = None) -> None:
        self.db, self.clock = runtime.db, runtime.clock
        self.work, self.events = runtime.work, runtime.events
        self.hosts = hosts
        self.settings = settings or Settings()
        self.random = Random()
        self.scheduler = _scheduler(self.settings)
        self.disabled: set[str] = set()
        """Hosts that an administrator has taken out of service, as last heard."""
        self._ticking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts the hosts' drivers, makes the hosts known, and watches their guests."""
        for host in self.hosts.by_name.values():
            await host.start()
            for hypervisor in host.hypervisors:
                hypervisor.watch(self._guest_changed)
        self.disabled = await self.db.write(store.register, self)
        self._ticking = asyncio.create_task(self._tick())

    async def close(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
        await self.hosts.close()

    def host_status(self, host: str) -> str:
        """As servers show it: UP, MAINTENANCE, or UNKNOWN for one that is looked after elsewhere."""
        if host in self.disabled:
            return "MAINTENANCE"
        return "UP" if host in self.hosts.by_name else "UNKNOWN"

    async def _guest_changed(self, guest_id: str) -> None:
        await self.db.write(self._wake, guest_id)

    def _wake(self, tx: Tx, guest_id: str) -> None:
        self.work.wake(tx, guest_id)

    async def _tick(self) -> None:
        names = list(self.hosts.by_name)
        while True:
            await self.clock.sleep(SEEN_EVERY_SECONDS)
            try:
                await self.db.write(store.seen, names)
            except DatabaseGone as error:
                log.warning("hosts could not report", error=str(error))


def _scheduler(settings: Settings) -> Scheduler:
    from pileus.lib.schedule import SCHEDULERS

    if settings.scheduler not in SCHEDULERS.names:
        from importlib.metadata import entry_points

        for entry in entry_points(group="pileus.schedulers", name=settings.scheduler):
            made: Scheduler = entry.load()(settings.scheduler_settings)
            return made
    return make_scheduler(settings.scheduler, settings.scheduler_settings)
