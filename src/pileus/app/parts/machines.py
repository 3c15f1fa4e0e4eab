"""Compute and network: hosts, guests, and what joins them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from pileus.app import drivers
from pileus.app.parts import Bench
from pileus.kernel.work import Program
from pileus.services.compute import bootstrap as compute_bootstrap
from pileus.services.compute import needs as compute_needs
from pileus.services.compute import work as compute_work
from pileus.services.compute.metadata_service import MetadataService
from pileus.services.compute.state import ComputeState
from pileus.services.network import bootstrap as network_bootstrap
from pileus.services.network import needs as network_needs
from pileus.services.network import work as network_work
from pileus.services.network.state import State as NetworkState


class Machines:
    """Compute and network, which can't do without each other."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        hosts = drivers.hosts(bench.settings, bench.state, bench.node, bench.clock)
        self._compute = ComputeState(bench.runtimes["compute"], hosts, bench.settings.compute)
        self._needs = compute_needs.bind(bench.peer("image"), bench.peer("network"), bench.peer("placement"))
        self._network = bench.runtimes["network"]
        self._network.needs = network_needs.bind(bench.peer("compute"))
        bench.runtimes["compute"].state = self._compute
        bench.runtimes["compute"].needs = self._needs
        self._metadata = MetadataService(self._compute, self._needs.networks)

    async def start(self, undo: AsyncExitStack) -> None:
        bench = self._bench
        engine = drivers.network_engine(bench.settings, bench.state, bench.node, metadata=self._metadata)
        capabilities = await engine.start()
        undo.push_async_callback(engine.close)
        self._network.state = NetworkState(
            engine=engine, capabilities=capabilities, host=bench.node, settings=bench.settings.network
        )
        await self._compute.start()
        undo.push_async_callback(self._compute.close)

    def programs(self) -> Sequence[Program]:
        return [*network_work.programs(self._network), *compute_work.programs(self._compute, self._needs)]

    async def attach(self, admin_project: str | None) -> None:
        await network_work.attach(self._network)
        await self._bench.db.write(compute_bootstrap.lay)
        if admin_project is not None:
            await network_bootstrap.first_rows(self._network, admin_project)
