"""Rings that change while they are used: an operator copies new ones over the old."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import structlog

from pileus.drivers.object.node.rings import Rings, RingsError, signature
from pileus.kernel.clock import Clock
from pileus.services.object_store.daemons import Walk

log = structlog.get_logger("pileus.object_store")
LOOK_SECONDS = 5.0
GRACE_SECONDS = 15.0
"""After so long everybody is taken to have found new rings that are there at all; until then nobody forgets what has moved,
for a proxy that goes by the old ones would look for it in vain."""


class RingFollower:
    """A daemon that looks whether the files are others than they were, as Swift does, by inode and time of change.

    `change` is told of rings that can follow the ones before; what can't be read or can't follow is logged once, and the
    old ones stay in force.
    """

    name = "ring-follower"
    every_seconds = LOOK_SECONDS
    per_second = math.inf

    def __init__(
        self,
        rings: Rings,
        clock: Clock,
        change: Callable[[Rings], Awaitable[None]],
        agree: Callable[[Rings], None] = lambda rings: None,
    ) -> None:
        """`agree` is called a while after each change, and at the start."""
        self.rings = rings
        """Those in force."""
        self._change = change
        self._agree = agree
        self._agree_at: float | None = 0.0
        self._clock = clock
        self._seen = rings.signature

    async def walk(self, walk: Walk) -> None:
        if outcome := await self.look():
            walk.count(**{outcome: 1})
        if self._agree_at is not None and self._clock.monotonic() >= self._agree_at:
            self._agree(self.rings)
            self._agree_at = None

    async def look(self) -> str:
        """`changed` or `refused`; empty where the files are what they were."""
        seen, outcome = signature(self.rings.folder), ""
        if seen == self._seen:
            return outcome
        try:
            rings = await asyncio.to_thread(Rings, self.rings.folder)
            self.rings.require_successor(rings)
        except RingsError as error:
            log.error("the rings that were there before stay in force", reason=str(error))
            outcome = "refused"
        else:
            if rings.files != self.rings.files:
                await self._change(rings)
                self._agree_at = self._clock.monotonic() + GRACE_SECONDS
                log.info("new rings are in force", folder=str(rings.folder))
                outcome = "changed"
            self.rings = rings
        self._seen = seen
        return outcome
