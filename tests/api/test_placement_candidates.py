"""Stories of candidates: groups, trees, versions; and that every process sees what another has done."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pileus.kernel.ids import new_uuid
from pileus.services.placement.settings import Settings
from pileus.services.placement.state import PlacementState
from tests.placement_cloud import PlacementCloud, placement_cloud

SHARES = "MISC_SHARES_VIA_AGGREGATE"


@pytest.fixture
async def cloud() -> AsyncIterator[PlacementCloud]:
    async with placement_cloud() as running:
        yield running


async def test_a_candidate_is_ready_to_be_claimed(cloud: PlacementCloud) -> None:
    ratio = {"total": 8, "reserved": 1, "allocation_ratio": 2.0}
    host = await cloud.provider("host", {"VCPU": ratio, "MEMORY_MB": 1024}, traits=("HW_CPU_X86_AVX2",))
    found = await cloud.get("/allocation_candidates?resources=VCPU:2,MEMORY_MB:512")
    assert found["provider_summaries"] == {
        host: {
            "resources": {"VCPU": {"capacity": 14, "used": 0}, "MEMORY_MB": {"capacity": 1024, "used": 0}},
            "traits": ["HW_CPU_X86_AVX2"],
            "parent_provider_uuid": None,
            "root_provider_uuid": host,
        }
    }
    (one,) = found["allocation_requests"]
    assert one["mappings"] == {"": [host]}
    body = {
        **one,
        "project_id": "p",
        "user_id": "u",
        "consumer_generation": None,
        "consumer_type": "INSTANCE",
    }
    await cloud.call("PUT", f"/allocations/{new_uuid()}", body, status=204)
    found = await cloud.get("/allocation_candidates?resources=VCPU:1")
    assert found["provider_summaries"][host]["resources"]["VCPU"] == {"capacity": 14, "used": 2}


async def test_no_candidate_says_why(cloud: PlacementCloud) -> None:
    await cloud.provider("small", {"MEMORY_MB": 22 * 1024})
    reply = await cloud.call("GET", f"/allocation_candidates?resources=MEMORY_MB:{64 * 1024}")
    assert reply.json() == {"allocation_requests": [], "provider_summaries": {}}
    assert "the largest can give 22 GiB to one server" in reply.headers["pileus-why"]
    assert (
        "pileus-why" not in (await cloud.call("GET", "/allocation_candidates?resources=MEMORY_MB:1")).headers
    )


async def test_shapes_of_old_versions(cloud: PlacementCloud) -> None:
    root = await cloud.provider("root", {"VCPU": 8, "MEMORY_MB": 100})
    child = await cloud.provider("child", {"VGPU": 2}, parent=root)
    old = await cloud.get("/allocation_candidates?resources=VCPU:1", version="1.10")
    assert old["allocation_requests"] == [
        {"allocations": [{"resource_provider": {"uuid": root}, "resources": {"VCPU": 1}}]}
    ]
    assert old["provider_summaries"] == {root: {"resources": {"VCPU": {"capacity": 8, "used": 0}}}}
    whole = await cloud.get("/allocation_candidates?resources=VCPU:1", version="1.27")
    assert set(whole["provider_summaries"][root]["resources"]) == {"VCPU", "MEMORY_MB"}
    assert await cloud.candidates("resources=VCPU:1,VGPU:1", "1.28") == []
    assert await cloud.candidates("resources=VCPU:1,VGPU:1", "1.29") == [
        {root: {"VCPU": 1}, child: {"VGPU": 1}}
    ]
    await cloud.call("GET", "/allocation_candidates?resources=VCPU:1", status=404, version="1.9")


async def test_groups_share_or_keep_apart(cloud: PlacementCloud) -> None:
    root = await cloud.provider("root", {"VCPU": 8})
    left = await cloud.provider("left", {"SRIOV_NET_VF": 4}, parent=root, traits=("CUSTOM_LEFT",))
    right = await cloud.provider("right", {"SRIOV_NET_VF": 4}, parent=root)
    groups = "resources=VCPU:1&resources_A=SRIOV_NET_VF:1&resources_B=SRIOV_NET_VF:1"
    assert len(await cloud.candidates(f"{groups}&group_policy=none")) == 4
    apart = await cloud.candidates(f"{groups}&group_policy=isolate&required_A=CUSTOM_LEFT")
    assert apart == [{root: {"VCPU": 1}, left: {"SRIOV_NET_VF": 1}, right: {"SRIOV_NET_VF": 1}}]
    found = await cloud.get(f"/allocation_candidates?{groups}&group_policy=isolate&required_A=CUSTOM_LEFT")
    assert found["allocation_requests"][0]["mappings"] == {"": [root], "_A": [left], "_B": [right]}
    assert len(await cloud.candidates(f"{groups}&group_policy=none&limit=3")) == 3
    assert await cloud.candidates(f"{groups}&group_policy=none&root_required=CUSTOM_LEFT") == []
    assert len(await cloud.candidates(f"{groups}&group_policy=none&same_subtree=_A,_B")) == 2


async def test_shared_storage_and_the_tree_it_must_come_from(cloud: PlacementCloud) -> None:
    rack = new_uuid()
    hosts = [await cloud.provider(f"host{n}", {"VCPU": 8}, aggregates=(rack,)) for n in range(2)]
    pool = await cloud.provider("pool", {"DISK_GB": 100}, traits=(SHARES,), aggregates=(rack,))
    both = [{host: {"VCPU": 1}, pool: {"DISK_GB": 5}} for host in hosts]
    assert await cloud.candidates("resources=VCPU:1,DISK_GB:5") == both
    assert await cloud.candidates(f"resources=VCPU:1,DISK_GB:5&in_tree={hosts[0]}") == []
    assert await cloud.candidates(f"resources=VCPU:1&resources1=DISK_GB:5&in_tree1={pool}") == both
    from_one = f"resources=VCPU:1&in_tree={hosts[1]}&resources1=DISK_GB:5&in_tree1={pool}"
    assert await cloud.candidates(from_one) == both[1:]


@pytest.mark.parametrize(
    ("query", "version", "code"),
    [
        ("", "1.39", "placement.query.missing_value"),
        ("resources=", "1.39", None),
        ("resources=VCPU:x", "1.39", None),
        ("resources=VCPU:1&limit=0", "1.39", None),
        ("resources=VCPU:1&limit=1", "1.15", None),
        ("resources=VCPU:1&resources1=VCPU:1&resources2=VCPU:1", "1.39", "placement.query.missing_value"),
        ("resources=VCPU:1&resources1=VCPU:1&resources2=VCPU:1&group_policy=odd", "1.39", None),
        ("resources=VCPU:1&required1=HW_CPU_X86_AVX2", "1.39", None),
        ("resources_A=VCPU:1", "1.32", None),
        ("resources01=VCPU:1", "1.32", None),
        ("resources=VCPU:1&same_subtree=_A", "1.39", "placement.query.bad_value"),
        (
            "resources=VCPU:1&root_required=HW_CPU_X86_AVX2&root_required=COMPUTE_NODE",
            "1.39",
            "placement.query.duplicate_key",
        ),
        ("resources=VCPU:1&required=in:HW_CPU_X86_AVX,HW_CPU_X86_AVX2", "1.38", None),
        ("resources=VCPU:1&in_tree=x", "1.39", None),
        ("resources=VCPU:1&member_of=x", "1.39", None),
        ("resources=VCPU:1&colour=red", "1.39", None),
        (f"resources=VCPU:{10**40}", "1.39", None),
    ],
)
async def test_queries_that_make_no_sense(
    cloud: PlacementCloud, query: str, version: str, code: str | None
) -> None:
    found = await cloud.code("GET", f"/allocation_candidates?{query}", status=400, version=version)
    assert found == (code or "placement.undefined_code")


class Elsewhere:
    """A second process: the same database, a memory of its own."""

    def __init__(self, cloud: PlacementCloud) -> None:
        self.cloud = cloud
        self.state = PlacementState()

    async def candidates(self, query: str) -> list[dict[str, Any]]:
        runtime = self.cloud.served.runtime
        mine, runtime.state = runtime.state, self.state
        try:
            return await self.cloud.candidates(query)
        finally:
            runtime.state = mine


async def test_every_process_sees_what_another_changed(database_url: str) -> None:
    async with placement_cloud(database_url) as cloud:
        elsewhere = Elsewhere(cloud)
        query = "resources=VCPU:2"

        async def agree() -> list[set[str]]:
            here = await cloud.candidates(query)
            assert await elsewhere.candidates(query) == here
            return [set(each) for each in here]

        assert await agree() == []
        first = await cloud.provider("first", {"VCPU": 4})
        assert await agree() == [{first}]
        many = [await cloud.provider(f"host{n}", {"VCPU": 2}) for n in range(25)]
        assert len(await agree()) == 26
        consumer = await cloud.claim({first: {"VCPU": 3}})
        assert {first} not in await agree()
        await cloud.delete(f"/allocations/{consumer}")
        assert {first} in await agree()
        claims = [await cloud.claim({host: {"VCPU": 1}}) for host in many]
        assert await agree() == [{first}]
        for consumer in claims:
            await cloud.delete(f"/allocations/{consumer}")
        gone, fresh = many[0], new_uuid()
        await cloud.delete(f"/resource_providers/{gone}")
        await cloud.post("/resource_providers", {"name": "fresh", "uuid": fresh})
        assert {gone} not in await agree()
        inventory = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 2}}}
        await cloud.put(f"/resource_providers/{fresh}/inventories", inventory)
        assert {fresh} in await agree()
        await cloud.put(f"/resource_providers/{fresh}", {"name": "fresh", "parent_provider_uuid": first})
        query = f"resources=VCPU:2&in_tree={first}"
        assert await agree() == [{first}, {fresh}]


async def test_candidates_in_random_order(cloud: PlacementCloud) -> None:
    hosts = {await cloud.provider(f"host{n}", {"VCPU": 2}) for n in range(8)}
    cloud.served.runtime.state = PlacementState(Settings(randomize_candidates=True))
    seen = set[str]()
    for _ in range(400):
        (one,) = await cloud.candidates("resources=VCPU:1&limit=1")
        seen |= set(one)
        if seen == hosts:
            break
    assert seen == hosts


@pytest.mark.slow
async def test_a_thousand_hosts_are_not_read_anew_for_each_claim(cloud: PlacementCloud) -> None:
    stock = {"VCPU": 64, "MEMORY_MB": 256_000, "DISK_GB": 2000}
    hosts = [await cloud.provider(f"host{n}", stock) for n in range(1000)]
    query = "resources=VCPU:1,MEMORY_MB:512,DISK_GB:1&limit=20"
    cost: dict[bool, list[float]] = {True: [], False: []}
    for n in range(20):
        if is_new := n % 4 == 0:
            cloud.served.runtime.state = PlacementState(Settings())
        began = time.process_time()
        await cloud.candidates(query)
        await cloud.claim({hosts[n]: {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1}})
        cost[is_new].append(time.process_time() - began)
    assert min(cost[False]) * 3 < min(cost[True])
