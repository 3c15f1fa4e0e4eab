"""Servers over simulated hosts: from the request to a guest and back to nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pileus.testing.compute import ComputeUnderTest, compute_alone


@pytest.fixture
async def compute() -> AsyncIterator[ComputeUnderTest]:
    async with compute_alone() as running:
        yield running


async def test_a_server_comes_and_goes(compute: ComputeUnderTest) -> None:
    server = await compute.boot()
    assert server["id"] in compute.guests
    assert len(compute.needs.networks.all_ports) == 1
    assert compute.needs.placement.allocations[server["id"]][1] == {"VCPU": 1, "MEMORY_MB": 64, "DISK_GB": 1}
    await compute.ask("DELETE", f"/servers/{server['id']}", expect=204)
    await compute.gone(server["id"])
    assert compute.guests == {}
    assert compute.needs.networks.all_ports == {}
    assert compute.needs.placement.allocations == {}
