"""The simulator's own promises, beyond the contract: faults, and a world that outlives its engine."""

from __future__ import annotations

import asyncio

import pytest

from pileus.drivers.network.sim import Faults, SeededFaults, SimEngine, World
from pileus.services.network.driver import NetworkError
from pileus.testing.network import new_network


def outcomes(seed: int) -> list[bool]:
    """Which of a hundred calls failed."""
    engine = SimEngine(World(SeededFaults(seed, 0.3)))

    async def story() -> list[bool]:
        failed = []
        for _ in range(100):
            try:
                await engine.ensure_network(new_network(), 1)
            except NetworkError:
                failed.append(True)
            else:
                failed.append(False)
        return failed

    return asyncio.run(story())


def test_the_same_seed_fails_the_same_calls() -> None:
    assert outcomes(7) == outcomes(7)
    assert outcomes(7) != outcomes(8)
    assert 15 <= sum(outcomes(7)) <= 45


def test_a_fault_may_come_before_or_after_the_act() -> None:
    world = World(SeededFaults(1, 0.5))

    async def story() -> tuple[int, int]:
        engine = SimEngine(world)
        failed = 0
        for _ in range(100):
            try:
                await engine.ensure_network(new_network(), 1)
            except NetworkError:
                failed += 1
        return failed, len(world.networks)

    failed, made = asyncio.run(story())
    assert 100 - failed < made < 100


class Death(BaseException):
    pass


class DiesAfterActing(Faults):
    def after(self, verb: str, subject_id: str) -> None:
        raise Death


def test_what_a_dead_process_did_is_found_by_the_next() -> None:
    world = World(DiesAfterActing())
    network = new_network()

    async def story() -> None:
        with pytest.raises(Death):
            await SimEngine(world).ensure_network(network, 1)
        world.faults = Faults()
        successor = SimEngine(world)
        assert (await successor.inventory()).networks == {network.id}
        await successor.ensure_network(network, 1)

    asyncio.run(story())
