"""Stories of allocations: claims that never overfill, generations of consumers, the reshaper, usages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pileus.kernel.ids import new_uuid
from tests.placement_cloud import COMPUTE, PlacementCloud, placement_cloud

CONCURRENT = "placement.concurrent_update"


@pytest.fixture
async def cloud(database_url: str) -> AsyncIterator[PlacementCloud]:
    """On both kinds of database: what claims promise rests on their transactions."""
    async with placement_cloud(database_url) as running:
        yield running


async def test_a_claim_lives_and_ends(cloud: PlacementCloud) -> None:
    host = await cloud.provider("host", {"VCPU": 4, "MEMORY_MB": 1024})
    consumer = await cloud.claim({host: {"VCPU": 3, "MEMORY_MB": 512}})
    assert await cloud.used(host) == {"MEMORY_MB": 512, "VCPU": 3}
    held = await cloud.get(f"/allocations/{consumer}")
    assert held == {
        "allocations": {host: {"generation": 2, "resources": {"MEMORY_MB": 512, "VCPU": 3}}},
        "project_id": "p",
        "user_id": "u",
        "consumer_generation": 1,
        "consumer_type": "INSTANCE",
    }
    of_host = await cloud.get(f"/resource_providers/{host}/allocations")
    assert of_host["allocations"] == {
        consumer: {"resources": {"MEMORY_MB": 512, "VCPU": 3}, "consumer_generation": 1}
    }
    await cloud.claim({host: {"VCPU": 4}}, consumer, generation=1)
    assert await cloud.used(host) == {"MEMORY_MB": 0, "VCPU": 4}
    await cloud.delete(f"/allocations/{consumer}")
    assert await cloud.used(host) == {"MEMORY_MB": 0, "VCPU": 0}
    assert await cloud.get(f"/allocations/{consumer}") == {"allocations": {}}
    await cloud.code("DELETE", f"/allocations/{consumer}", status=404)


async def test_generations_of_consumers(cloud: PlacementCloud) -> None:
    host = await cloud.provider("host", {"VCPU": 4})
    body: dict[str, Any] = {
        "allocations": {host: {"resources": {"VCPU": 1}}},
        "project_id": "p",
        "user_id": "u",
        "consumer_type": "INSTANCE",
    }
    consumer = new_uuid()
    path = f"/allocations/{consumer}"
    assert await cloud.code("PUT", path, {**body, "consumer_generation": 1}, status=409) == CONCURRENT
    await cloud.call("PUT", path, {**body, "consumer_generation": None}, status=204)
    assert await cloud.code("PUT", path, {**body, "consumer_generation": None}, status=409) == CONCURRENT
    await cloud.code("PUT", path, body, status=400)
    await cloud.call("PUT", path, {**body, "consumer_generation": 1, "allocations": {}}, status=204)
    assert await cloud.used(host) == {"VCPU": 0}
    assert await cloud.get(path) == {"allocations": {}}


async def test_what_does_not_fit(cloud: PlacementCloud) -> None:
    odd = {"total": 10, "min_unit": 2, "max_unit": 6, "step_size": 2}
    host = await cloud.provider("host", {"VCPU": odd, "MEMORY_MB": 1024})
    for amount in (1, 3, 8, 12):
        await cloud.claim({host: {"VCPU": amount}}, status=409)
    await cloud.claim({host: {"DISK_GB": 1}}, status=409)
    await cloud.claim({host: {"CUSTOM_NOPE": 1}}, status=400)
    await cloud.claim({new_uuid(): {"VCPU": 2}}, status=400)
    await cloud.claim({host: {"VCPU": 6, "MEMORY_MB": 2048}}, status=409)
    assert await cloud.used(host) == {"MEMORY_MB": 0, "VCPU": 0}, "nothing of what failed stays"
    await cloud.claim({host: {"VCPU": 6}})
    body = {
        "allocations": {host: {"resources": {"VCPU": 6}}},
        "consumer_generation": None,
        "consumer_type": "X",
        "project_id": "p",
        "user_id": "u",
    }
    reply = await cloud.call("PUT", f"/allocations/{new_uuid()}", body, status=409)
    assert "6 vCPUs wanted, 4 vCPUs free" in reply.json()["errors"][0]["detail"]


async def test_claims_at_once_never_overfill(cloud: PlacementCloud) -> None:
    hosts = [await cloud.provider(f"host{n}", {"VCPU": 5, "MEMORY_MB": 1000}) for n in range(2)]

    async def one(n: int) -> bool:
        body = {
            "allocations": {hosts[n % 2]: {"resources": {"VCPU": 1 + n % 2, "MEMORY_MB": 10}}},
            "consumer_generation": None,
            "consumer_type": "INSTANCE",
            "project_id": "p",
            "user_id": "u",
        }
        headers = {"openstack-api-version": "placement latest"}
        path = f"/placement/allocations/{new_uuid()}"
        reply = await cloud.served.put(path, body, as_=COMPUTE, headers=headers)
        assert reply.status in (204, 409), reply.body
        return reply.status == 204

    taken = await asyncio.gather(*(one(n) for n in range(40)))
    assert await cloud.used(hosts[0]) == {"VCPU": 5, "MEMORY_MB": 50}
    assert await cloud.used(hosts[1]) == {"VCPU": 4, "MEMORY_MB": 20}
    assert sum(taken) == 7
    assert await cloud.candidates("resources=VCPU:1") == [{hosts[1]: {"VCPU": 1}}]


async def test_several_consumers_at_once(cloud: PlacementCloud) -> None:
    """A migration swaps: what one frees another may take in the same request."""
    host = await cloud.provider("host", {"VCPU": 4})
    first, second = await cloud.claim({host: {"VCPU": 4}}), new_uuid()

    def of(generation: int | None, amounts: dict[str, Any]) -> dict[str, Any]:
        return {
            "allocations": amounts,
            "project_id": "p",
            "user_id": "u",
            "consumer_generation": generation,
            "consumer_type": "INSTANCE",
        }

    four = {host: {"resources": {"VCPU": 4}}}
    await cloud.code("POST", "/allocations", {first: of(1, four), second: of(None, four)}, status=409)
    await cloud.call("POST", "/allocations", {first: of(1, {}), second: of(None, four)}, status=204)
    assert set((await cloud.get(f"/resource_providers/{host}/allocations"))["allocations"]) == {second}
    await cloud.code("POST", "/allocations", {}, status=400)


async def test_bodies_of_old_versions(cloud: PlacementCloud) -> None:
    host = await cloud.provider("host", {"VCPU": 8})
    consumer = new_uuid()
    path = f"/allocations/{consumer}"
    listed = {"allocations": [{"resource_provider": {"uuid": host}, "resources": {"VCPU": 1}}]}
    await cloud.call("PUT", path, listed, status=204, version="1.7")
    assert set(await cloud.get(path, version="1.11")) == {"allocations"}
    unknown = await cloud.get(path)
    assert unknown["project_id"] == unknown["user_id"] == "00000000-0000-0000-0000-000000000000"
    assert unknown["consumer_type"] == "unknown"
    await cloud.code("PUT", path, listed, status=400, version="1.8")
    owned = {**listed, "project_id": "p", "user_id": "u"}
    await cloud.call("PUT", path, owned, status=204, version="1.11")
    await cloud.code("PUT", path, owned, status=400, version="1.12")
    by_provider = {**owned, "allocations": {host: {"resources": {"VCPU": 2}}}}
    await cloud.call("PUT", path, by_provider, status=204, version="1.27")
    await cloud.code("PUT", path, {**by_provider, "allocations": {}}, status=400, version="1.27")
    await cloud.call(
        "POST", "/allocations", {consumer: {**by_provider, "allocations": {}}}, status=204, version="1.13"
    )
    assert await cloud.used(host) == {"VCPU": 0}


async def test_the_reshaper_moves_all_or_nothing(cloud: PlacementCloud) -> None:
    host = await cloud.provider("host", {"VCPU": 8, "VGPU": 4})
    consumer = await cloud.claim({host: {"VCPU": 2, "VGPU": 1}})
    child = await cloud.provider("gpu", parent=host)
    generation = (await cloud.get(f"/resource_providers/{host}"))["generation"]

    def body(resources: dict[str, Any]) -> dict[str, Any]:
        return {
            "inventories": {
                host: {"resource_provider_generation": generation, "inventories": {"VCPU": {"total": 8}}},
                child: {"resource_provider_generation": 0, "inventories": {"VGPU": {"total": 4}}},
            },
            "allocations": {
                consumer: {
                    "allocations": {key: {"resources": each} for key, each in resources.items()},
                    "project_id": "p",
                    "user_id": "u",
                    "consumer_generation": 1,
                    "consumer_type": "INSTANCE",
                }
            },
        }

    stays = {host: {"VCPU": 2, "VGPU": 1}}
    assert await cloud.code("POST", "/reshaper", body(stays), status=409) == "placement.inventory.inuse"
    assert await cloud.used(child) == {}
    moves = {host: {"VCPU": 2}, child: {"VGPU": 1}}
    await cloud.call("POST", "/reshaper", body(moves), status=204)
    assert (await cloud.used(host), await cloud.used(child)) == ({"VCPU": 2}, {"VGPU": 1})
    assert await cloud.candidates("resources=VCPU:1,VGPU:1") == [{host: {"VCPU": 1}, child: {"VGPU": 1}}]
    assert await cloud.code("POST", "/reshaper", body(moves), status=409) == CONCURRENT
    nowhere = body(moves)
    nowhere["inventories"][new_uuid()] = {"resource_provider_generation": 0, "inventories": {}}
    await cloud.code("POST", "/reshaper", nowhere, status=409)


async def test_usages_of_projects(cloud: PlacementCloud) -> None:
    host = await cloud.provider("host", {"VCPU": 50})
    await cloud.claim({host: {"VCPU": 2}})
    await cloud.claim({host: {"VCPU": 3}}, user_id="v", consumer_type="MIGRATION")
    await cloud.claim({host: {"VCPU": 7}}, project_id="q")
    assert await cloud.get("/usages?project_id=p", version="1.9") == {"usages": {"VCPU": 5}}
    assert await cloud.get("/usages?project_id=p&user_id=v", version="1.37") == {"usages": {"VCPU": 3}}
    assert await cloud.get("/usages?project_id=p") == {
        "usages": {
            "INSTANCE": {"consumer_count": 1, "VCPU": 2},
            "MIGRATION": {"consumer_count": 1, "VCPU": 3},
        }
    }
    everything = await cloud.get("/usages?project_id=p&consumer_type=all")
    assert everything == {"usages": {"all": {"consumer_count": 2, "VCPU": 5}}}
    assert await cloud.get("/usages?project_id=p&consumer_type=MIGRATION") == {
        "usages": {"MIGRATION": {"consumer_count": 1, "VCPU": 3}}
    }
    await cloud.code("GET", "/usages", status=400)
    await cloud.code("GET", "/usages?project_id=p&consumer_type=lower", status=400)
