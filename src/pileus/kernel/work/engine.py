"""The engine: leases strands that are due, runs their labels, commits what they answer."""

from __future__ import annotations

from collections.abc import Sequence

from pileus.kernel.clock import Clock
from pileus.kernel.db import Database
from pileus.kernel.work.intake import Work
from pileus.kernel.work.program import Program


class Engine:
    """Runs the strands of `programs`. `node` names the process among all that share the database, and is the
    same after a restart: leases of its earlier incarnations are taken over at once."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        work: Work,
        programs: Sequence[Program],
        *,
        node: str,
        limit: int = 256,
    ) -> None:
        """`limit`: labels that run at the same time."""
        raise NotImplementedError

    async def start(self) -> None:
        """Take over what an earlier incarnation left, and go to work."""
        raise NotImplementedError

    async def stop(self, grace: float = 5.0) -> None:
        """Take nothing new, let running labels finish for `grace` seconds, abandon the rest, release all."""
        raise NotImplementedError
