"""The engine as a whole: orphans removed, what got lost made anew, heartbeats."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from pileus.kernel.db import Database, Tx
from pileus.kernel.work import Program, Step, Strand, Work, label
from pileus.services.network.driver import NetworkEngine
from pileus.services.network.state import State
from pileus.services.network.store import agents, reconcile
from pileus.services.network.store.reconcile import Difference

HEARTBEAT_SECONDS: Final = 60.0
STRAND_ID: Final = "network.engine"
FINAL_EPOCH: Final = 2**62
"""Of orphans: nobody has a strand for them, and their ids never come again."""


class EngineProgram(Program):
    """One strand for the engine: compares what it holds with the rows, every minute and at each start."""

    name = "network.engine"

    def __init__(self, db: Database, work: Work, state: State) -> None:
        self.db = db
        self.work = work
        self.state = state

    @label()
    async def start(self, strand: Strand) -> Step:
        return strand.hop(self.steady)

    @label()
    async def steady(self, strand: Strand) -> Step:
        inventory = await self.state.engine.inventory()
        found = await self.db.scan(reconcile.compare, self.work, inventory)
        await self._remove(found)
        return strand.nap(HEARTBEAT_SECONDS, lambda tx: self._report(tx, found))

    @label(destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        return strand.done()

    async def _remove(self, found: Difference) -> None:
        engine: NetworkEngine = self.state.engine
        removers: dict[str, Callable[[str, int], Awaitable[None]]] = {
            "router": engine.delete_router,
            "port": engine.delete_port,
            "network": engine.delete_network,
            "security_group": engine.delete_security_group,
        }
        for kind, remove in removers.items():
            for orphan in found.orphans[kind]:
                await remove(orphan, FINAL_EPOCH)

    def _report(self, tx: Tx, found: Difference) -> None:
        state = self.state
        for kind, ids in found.missing.items():
            reconcile.forget(tx, kind, ids)
            for each in ids:
                self.work.wake(tx, each)
        kind, binary = AGENTS.get(
            state.capabilities.engine, (state.capabilities.engine, state.capabilities.engine)
        )
        mappings = {"bridge-mappings": {state.capabilities.physical_network: "external"}}
        agents.beat(tx, state.host, kind, binary, state.settings.availability_zone, mappings)


AGENTS: Final = {
    "ovn": ("OVN Controller Gateway agent", "ovn-controller"),
    "sim": ("Simulated network agent", "pileus-network-sim"),
}
"""What `openstack network agent list` calls an engine, and its program."""
