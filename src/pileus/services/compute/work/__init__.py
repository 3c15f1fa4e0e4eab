"""The programs of compute's strands."""

from __future__ import annotations

from pileus.kernel.work import Program
from pileus.services.compute.needs import Needs
from pileus.services.compute.state import ComputeState
from pileus.services.compute.work.host import HostProgram
from pileus.services.compute.work.server import ServerProgram
from pileus.services.compute.work.snapshot import SnapshotProgram


def programs(state: ComputeState, needs: Needs) -> list[Program]:
    """All of them, over the state and the needs of this process."""
    return [
        ServerProgram(state, needs),
        SnapshotProgram(state, needs),
        HostProgram(state.db, needs, state.settings),
    ]
