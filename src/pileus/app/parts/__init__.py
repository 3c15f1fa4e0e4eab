"""Services that run or don't, each with its drivers, needs and programs. `Bindings` makes those that are chosen."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pileus.app.settings import Settings
from pileus.kernel.api.auth import Revision, TokenCache
from pileus.kernel.api.service import Runtime
from pileus.kernel.clock import Clock
from pileus.kernel.db import Database
from pileus.kernel.events import Events
from pileus.kernel.http.caller import AsgiPeer
from pileus.kernel.work import Program, Work

PARTS: Mapping[str, str] = {
    "image": "pileus.app.parts.images:Images",
    "object-store": "pileus.app.parts.objects:Objects",
    "placement": "pileus.app.parts.inventory:Inventory",
    "compute": "pileus.app.parts.machines:Machines",
}
"""By the service that they come with, in the order in which they start; identity is `Bindings`' own. Imported where they
run, as services are."""


@dataclass(frozen=True)
class Bench:
    """What every part is made with."""

    settings: Settings
    state: Path
    db: Database
    clock: Clock
    work: Work
    events: Events
    revision: Revision
    authenticate: TokenCache
    node: str
    runtimes: Mapping[str, Runtime]
    peer: Callable[[str], AsgiPeer]
    """The public API of the service of that type, from inside."""


class Part(Protocol):
    async def start(self, undo: AsyncExitStack) -> None:
        """Starts drivers; `undo` lets go of them."""

    def programs(self) -> Sequence[Program]:
        """Drivers must have been started."""

    async def attach(self, admin_project: str | None) -> None:
        """Once the engine of strands runs: drivers are heard, and a new cloud gets its first rows."""


def make_parts(bench: Bench, names: Collection[str]) -> list[Part]:
    """Those of the services of these names."""
    return [pkgutil.resolve_name(where)(bench) for name, where in PARTS.items() if name in names]
