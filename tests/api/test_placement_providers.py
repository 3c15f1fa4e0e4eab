"""Stories of providers: trees, inventories, traits, aggregates, resource classes, and their generations."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pileus.kernel.ids import new_uuid
from pileus.testing.personas import PERSONAS
from tests.placement_cloud import PlacementCloud, placement_cloud

CONCURRENT = "placement.concurrent_update"


@pytest.fixture
async def cloud() -> AsyncIterator[PlacementCloud]:
    async with placement_cloud() as running:
        yield running


async def test_a_tree_grows_moves_and_goes(cloud: PlacementCloud) -> None:
    root, other = await cloud.provider("root"), await cloud.provider("other")
    child = await cloud.provider("child", parent=root)
    leaf = await cloud.provider("leaf", parent=child)
    shown = await cloud.get(f"/resource_providers/{leaf}")
    assert (shown["root_provider_uuid"], shown["parent_provider_uuid"]) == (root, child)
    tree = (await cloud.get(f"/resource_providers?in_tree={leaf}"))["resource_providers"]
    assert {each["uuid"] for each in tree} == {root, child, leaf}

    moved = {"name": "child", "parent_provider_uuid": other}
    await cloud.code("PUT", f"/resource_providers/{child}", moved, status=400, version="1.36")
    await cloud.put(f"/resource_providers/{child}", moved)
    assert (await cloud.get(f"/resource_providers/{leaf}"))["root_provider_uuid"] == other
    loop = {"name": "other", "parent_provider_uuid": leaf}
    await cloud.code("PUT", f"/resource_providers/{other}", loop, status=400)

    code = await cloud.code("DELETE", f"/resource_providers/{child}", status=409)
    assert code == "placement.resource_provider.cannot_delete_parent"
    await cloud.put(f"/resource_providers/{leaf}", {"name": "leaf", "parent_provider_uuid": None})
    assert (await cloud.get(f"/resource_providers/{leaf}"))["root_provider_uuid"] == leaf
    for each in (child, other, root, leaf):
        await cloud.delete(f"/resource_providers/{each}")
    assert await cloud.get("/resource_providers") == {"resource_providers": []}


async def test_names_and_ids_are_unique(cloud: PlacementCloud) -> None:
    first = await cloud.provider("one")
    second = await cloud.provider("two")
    code = await cloud.code("POST", "/resource_providers", {"name": "one"}, status=409)
    assert code == "placement.duplicate_name"
    same_id = {"name": "three", "uuid": first}
    assert await cloud.code("POST", "/resource_providers", same_id, status=409) == "placement.duplicate_name"
    await cloud.code("PUT", f"/resource_providers/{second}", {"name": "one"}, status=409)
    found = await cloud.get("/resource_providers?name=two")
    assert [each["uuid"] for each in found["resource_providers"]] == [second]


async def test_inventories_are_guarded_by_the_generation(cloud: PlacementCloud) -> None:
    provider = await cloud.provider("host")
    path = f"/resource_providers/{provider}/inventories"
    stock = {"VCPU": {"total": 8, "allocation_ratio": 4.0}, "DISK_GB": {"total": 100, "reserved": 10}}
    put = await cloud.put(path, {"resource_provider_generation": 0, "inventories": stock})
    assert put["resource_provider_generation"] == 1
    assert put["inventories"]["VCPU"] == {
        "total": 8,
        "reserved": 0,
        "min_unit": 1,
        "max_unit": 2**31 - 1,
        "step_size": 1,
        "allocation_ratio": 4.0,
    }
    stale = {"resource_provider_generation": 0, "inventories": {}}
    assert await cloud.code("PUT", path, stale, status=409) == CONCURRENT
    assert await cloud.get(path) == put
    one = await cloud.put(f"{path}/VCPU", {"resource_provider_generation": 1, "total": 16})
    assert (one["total"], one["allocation_ratio"], one["resource_provider_generation"]) == (16, 1.0, 2)
    await cloud.code("PUT", f"{path}/MEMORY_MB", {"resource_provider_generation": 2, "total": 1}, status=400)
    await cloud.code("POST", path, {"resource_class": "VCPU", "total": 1}, status=409)
    await cloud.code("POST", path, {"resource_class": "NO_SUCH_CLASS", "total": 1}, status=400)

    await cloud.claim({provider: {"DISK_GB": 5}})
    assert await cloud.code("DELETE", f"{path}/DISK_GB", status=409) == "placement.inventory.inuse"
    now = (await cloud.get(path))["resource_provider_generation"]
    without = {"resource_provider_generation": now, "inventories": {"VCPU": {"total": 1}}}
    assert await cloud.code("PUT", path, without, status=409) == "placement.inventory.inuse"
    await cloud.delete(f"{path}/VCPU")
    assert set((await cloud.get(path))["inventories"]) == {"DISK_GB"}
    assert await cloud.code("DELETE", path, status=409) == "placement.inventory.inuse"
    assert await cloud.code("DELETE", f"/resource_providers/{provider}", status=409) == (
        "placement.resource_provider.inuse"
    )


async def test_what_may_be_reserved_depends_on_the_version(cloud: PlacementCloud) -> None:
    provider = await cloud.provider("host")
    path = f"/resource_providers/{provider}/inventories"
    whole = {"resource_class": "VCPU", "total": 4, "reserved": 4}
    await cloud.code("POST", path, whole, status=400, version="1.25")
    await cloud.code("POST", path, {**whole, "reserved": 5}, status=400)
    await cloud.post(path, whole, status=201)


async def test_traits(cloud: PlacementCloud) -> None:
    standard = (await cloud.get("/traits"))["traits"]
    assert "HW_CPU_X86_AVX2" in standard
    assert standard == sorted(standard)
    await cloud.call("PUT", "/traits/CUSTOM_GOLD", status=201)
    await cloud.call("PUT", "/traits/CUSTOM_GOLD", status=204)
    for bad in ("GOLD", "CUSTOM_", "CUSTOM_gold", "CUSTOM_" + "X" * 300):
        await cloud.code("PUT", f"/traits/{bad}", status=400)
    provider = await cloud.provider("host", traits=("CUSTOM_GOLD", "HW_CPU_X86_AVX2"))
    path = f"/resource_providers/{provider}/traits"
    held = await cloud.get(path)
    assert held["traits"] == ["CUSTOM_GOLD", "HW_CPU_X86_AVX2"]
    generation = held["resource_provider_generation"]
    assert await cloud.put(path, held) == held, "the same traits are no change"
    unknown = {"traits": ["CUSTOM_NONE"], "resource_provider_generation": generation}
    await cloud.code("PUT", path, unknown, status=400)
    stale = {"traits": [], "resource_provider_generation": generation - 1}
    assert await cloud.code("PUT", path, stale, status=409) == CONCURRENT

    assert (await cloud.get("/traits?name=startswith:CUSTOM"))["traits"] == ["CUSTOM_GOLD"]
    assert (await cloud.get("/traits?associated=true"))["traits"] == held["traits"]
    assert (await cloud.get("/traits?name=in:CUSTOM_GOLD,NOPE&associated=false"))["traits"] == []
    await cloud.code("DELETE", "/traits/CUSTOM_GOLD", status=409)
    await cloud.delete(path)
    await cloud.delete("/traits/CUSTOM_GOLD")
    await cloud.call("GET", "/traits/CUSTOM_GOLD", status=404)
    await cloud.call("GET", "/traits/HW_CPU_X86_AVX2", status=204)
    await cloud.code("DELETE", "/traits/HW_CPU_X86_AVX2", status=400)


async def test_aggregates_by_version(cloud: PlacementCloud) -> None:
    provider, aggregate = await cloud.provider("host"), new_uuid()
    path = f"/resource_providers/{provider}/aggregates"
    await cloud.call("GET", path, status=404, version="1.0")
    assert await cloud.put(path, [aggregate], version="1.18") == {"aggregates": [aggregate]}
    held = await cloud.get(path)
    assert held == {"aggregates": [aggregate], "resource_provider_generation": 0}
    assert (await cloud.put(path, {**held, "aggregates": []}))["resource_provider_generation"] == 1
    assert await cloud.code("PUT", path, held, status=409) == CONCURRENT
    await cloud.code("PUT", path, {"aggregates": ["x"], "resource_provider_generation": 1}, status=400)
    twice = {"aggregates": [aggregate, aggregate], "resource_provider_generation": 1}
    await cloud.code("PUT", path, twice, status=400)


async def test_resource_classes_by_version(cloud: PlacementCloud) -> None:
    await cloud.call("POST", "/resource_classes", {"name": "CUSTOM_A"}, status=201, version="1.2")
    assert (
        await cloud.code("POST", "/resource_classes", {"name": "CUSTOM_A"}, status=409)
        == "placement.duplicate_name"
    )
    provider = await cloud.provider("host", {"CUSTOM_A": 4})
    await cloud.claim({provider: {"CUSTOM_A": 1}})
    assert await cloud.candidates("resources=CUSTOM_A:1") == [{provider: {"CUSTOM_A": 1}}]
    renamed = await cloud.put("/resource_classes/CUSTOM_A", {"name": "CUSTOM_B"}, version="1.6")
    assert renamed["links"] == [{"rel": "self", "href": "/placement/resource_classes/CUSTOM_B"}]
    assert await cloud.used(provider) == {"CUSTOM_B": 1}
    assert await cloud.candidates("resources=CUSTOM_B:3") == [{provider: {"CUSTOM_B": 3}}]
    await cloud.call("PUT", "/resource_classes/CUSTOM_B", status=204)
    await cloud.call("PUT", "/resource_classes/CUSTOM_C", status=201)
    await cloud.delete("/resource_classes/CUSTOM_C")
    await cloud.code("DELETE", "/resource_classes/CUSTOM_B", status=409)
    await cloud.code("DELETE", "/resource_classes/VCPU", status=400)
    await cloud.code("PUT", "/resource_classes/VCPU", status=400)
    names = [each["name"] for each in (await cloud.get("/resource_classes"))["resource_classes"]]
    assert names[:3] == ["VCPU", "MEMORY_MB", "DISK_GB"]
    assert names[-1] == "CUSTOM_B"


async def test_providers_are_listed_by_what_they_are(cloud: PlacementCloud) -> None:
    aggregate, elsewhere = new_uuid(), new_uuid()
    small = await cloud.provider("small", {"VCPU": 2}, aggregates=(aggregate,))
    fast = await cloud.provider("fast", {"VCPU": 8}, traits=("HW_CPU_X86_AVX2",), aggregates=(elsewhere,))

    async def listed(query: str, version: str = "1.39") -> set[str]:
        found = await cloud.get(f"/resource_providers?{query}", version=version)
        return {each["uuid"] for each in found["resource_providers"]}

    assert await listed("resources=VCPU:4") == {fast}
    assert await listed(f"member_of={aggregate}") == {small}
    assert await listed(f"member_of=in:{aggregate},{elsewhere}") == {small, fast}
    assert await listed(f"member_of=!{aggregate}") == {fast}
    assert await listed("required=HW_CPU_X86_AVX2") == {fast}
    assert await listed("required=!HW_CPU_X86_AVX2") == {small}
    assert await listed("required=in:HW_CPU_X86_AVX,HW_CPU_X86_AVX2") == {fast}
    for query, version in (
        ("required=!HW_CPU_X86_AVX2", "1.21"),
        ("required=HW_CPU_X86_AVX2", "1.17"),
        (f"member_of=!{aggregate}", "1.31"),
        ("in_tree=x", "1.39"),
        ("colour=red", "1.39"),
        ("resources=VCPU", "1.39"),
        ("resources=VCPU:0", "1.39"),
        ("resources=PONY:1", "1.39"),
        ("required=CUSTOM_NOPE", "1.39"),
        ("required=HW_CPU_X86_AVX,!HW_CPU_X86_AVX", "1.39"),
    ):
        await cloud.code("GET", f"/resource_providers?{query}", status=400, version=version)


async def test_versions_project_what_is_shown(cloud: PlacementCloud) -> None:
    made = await cloud.call("POST", "/resource_providers", {"name": "old"}, status=201, version="1.0")
    assert not made.body
    path = made.headers["location"].partition("/placement")[2]
    old = await cloud.call("GET", path, version="1.0")
    assert set(old.json()) == {"uuid", "name", "generation", "links"}
    assert [link["rel"] for link in old.json()["links"]] == ["self", "inventories", "usages"]
    assert "last-modified" not in old.headers
    new = await cloud.call("GET", path)
    assert "parent_provider_uuid" in new.json()
    assert new.headers["cache-control"] == "no-cache"
    assert new.headers["last-modified"].endswith("GMT")
    assert new.headers["openstack-api-version"] == "placement 1.39"
    assert (await cloud.call("GET", "/", version="latest")).json()["versions"][0]["max_version"] == "1.39"
    await cloud.call("GET", path, status=406, version="1.40")
    await cloud.call(
        "POST", "/resource_providers", {"name": "x", "parent_provider_uuid": None}, status=400, version="1.13"
    )


@pytest.mark.parametrize("name", PERSONAS)
async def test_only_administrators_see_providers(cloud: PlacementCloud, name: str) -> None:
    persona = PERSONAS[name]
    status = 200 if name == "project_admin" else 403
    await cloud.call("GET", "/resource_providers", as_=persona, status=status)
    await cloud.call("GET", "/allocation_candidates?resources=VCPU:1", as_=persona, status=status)
    missing = 404 if name == "project_admin" else 403
    await cloud.call("GET", f"/resource_providers/{new_uuid()}", as_=persona, status=missing)
    own = f"/usages?project_id={persona.project_id or 'none'}"
    await cloud.call("GET", own, as_=persona, status=200 if name.startswith("project") else 403)
    others = 200 if name == "project_admin" else 403
    await cloud.call("GET", "/usages?project_id=another", as_=persona, status=others)


async def test_a_body_that_is_no_json_is_not_taken(cloud: PlacementCloud) -> None:
    text = {"content-type": "text/plain"}
    await cloud.code("POST", "/resource_providers", {"name": "x"}, status=415, headers=text)
    await cloud.call(
        "POST",
        "/resource_providers",
        {"name": "x"},
        headers={"content-type": "application/json; charset=utf-8"},
    )
