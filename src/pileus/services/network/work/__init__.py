"""Programs: what makes the engine agree with the rows."""

from __future__ import annotations

from collections.abc import Sequence

from pileus.kernel.api.service import Runtime
from pileus.kernel.db import Tx
from pileus.kernel.work import Program
from pileus.services.network.state import State
from pileus.services.network.work.engine import STRAND_ID, EngineProgram
from pileus.services.network.work.network import NetworkProgram
from pileus.services.network.work.port import PortProgram
from pileus.services.network.work.router import RouterProgram
from pileus.services.network.work.security_group import SecurityGroupProgram


def programs(runtime: Runtime) -> Sequence[Program]:
    """All programs of the service; the runtime's `state` has the engine, started, its `needs` the servers."""
    state: State = runtime.state
    shared = (runtime.db, runtime.work, runtime.events, state.engine)
    return (
        NetworkProgram(*shared),
        SecurityGroupProgram(*shared),
        PortProgram(*shared, runtime.needs),
        RouterProgram(*shared),
        EngineProgram(runtime.db, runtime.work, state),
    )


async def attach(runtime: Runtime) -> None:
    """Once at every start, after the engine of strands: compare the network engine with the rows, and hear
    from it when ports come up or go down."""
    state: State = runtime.state

    async def changed(port_id: str) -> None:
        await runtime.db.write(lambda tx: runtime.work.wake(tx, port_id))

    def look(tx: Tx) -> None:
        if not runtime.work.wake(tx, STRAND_ID):
            runtime.work.begin(tx, EngineProgram, STRAND_ID)

    state.engine.watch(changed)
    await runtime.db.write(look)
