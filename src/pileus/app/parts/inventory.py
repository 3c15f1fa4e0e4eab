"""Placement, which knows what each host has."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from pileus.app.parts import Bench
from pileus.kernel.work import Program
from pileus.services.placement.state import PlacementState


class Inventory:
    def __init__(self, bench: Bench) -> None:
        bench.runtimes["placement"].state = PlacementState(bench.settings.placement)

    async def start(self, undo: AsyncExitStack) -> None:
        """There are no drivers."""

    def programs(self) -> Sequence[Program]:
        return ()

    async def attach(self, admin_project: str | None) -> None:
        """Nothing is laid."""
