"""Unified limits: what is registered, what single projects and domains have, and how these must agree."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pileus.services.identity.settings import Settings
from pileus.testing.identity import V3, make, serving_identity
from pileus.testing.personas import persona
from pileus.testing.service import ADMIN, ServiceUnderTest


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with serving_identity(tmp_path) as running:
        yield running


class Limits:
    """A service's registered limit of 10 cores, and limits in its place."""

    def __init__(self, cloud: ServiceUnderTest, service_id: str, registered_id: str) -> None:
        self.cloud, self.service_id, self.registered_id = cloud, service_id, registered_id

    @classmethod
    async def of(cls, cloud: ServiceUnderTest) -> Limits:
        service_id = (await make(cloud, "service", type="compute", name="nova"))["id"]
        new = {"service_id": service_id, "resource_name": "cores", "default_limit": 10}
        reply = await cloud.post(f"{V3}/registered_limits", {"registered_limits": [new]}, as_=ADMIN)
        assert reply.status == 201, reply.body
        return cls(cloud, service_id, reply.json()["registered_limits"][0]["id"])

    async def set(self, number: int, **owner: str) -> Any:
        new = {"service_id": self.service_id, "resource_name": "cores", "resource_limit": number, **owner}
        return await self.cloud.post(f"{V3}/limits", {"limits": [new]}, as_=ADMIN)


async def test_a_registered_limit_s_life(cloud: ServiceUnderTest) -> None:
    limits = await Limits.of(cloud)
    path = f"{V3}/registered_limits/{limits.registered_id}"
    shown = (await cloud.get(path)).json()["registered_limit"]
    assert shown.pop("links")["self"].endswith(path)
    assert shown == {
        "id": limits.registered_id,
        "service_id": limits.service_id,
        "region_id": None,
        "resource_name": "cores",
        "default_limit": 10,
        "description": None,
    }
    reply = await cloud.patch(
        path, {"registered_limit": {"default_limit": 20, "region_id": "RegionOne"}}, as_=ADMIN
    )
    assert (reply.json()["registered_limit"]["default_limit"], reply.status) == (20, 200)
    listed = await cloud.get(f"{V3}/registered_limits?region_id=RegionOne&resource_name=cores")
    assert [each["region_id"] for each in listed.json()["registered_limits"]] == ["RegionOne"]
    assert (await cloud.delete(path, as_=ADMIN)).status == 204
    assert (await cloud.get(path)).status == 404


async def test_a_limit_stands_in_place_of_a_registered_one(cloud: ServiceUnderTest) -> None:
    limits = await Limits.of(cloud)
    project_id = (await make(cloud, "project", name="p"))["id"]
    made = (await limits.set(5, project_id=project_id)).json()["limits"][0]
    assert (made["resource_limit"], made["project_id"], made["domain_id"]) == (5, project_id, None)
    assert (await limits.set(6, project_id=project_id)).status == 409
    assert (await cloud.delete(f"{V3}/registered_limits/{limits.registered_id}", as_=ADMIN)).status == 403
    renamed = {"registered_limit": {"resource_name": "ram"}}
    assert (
        await cloud.patch(f"{V3}/registered_limits/{limits.registered_id}", renamed, as_=ADMIN)
    ).status == 403
    shown = await cloud.get(f"{V3}/projects/{project_id}?include_limits", as_=ADMIN)
    assert [each["id"] for each in shown.json()["project"]["limits"]] == [made["id"]]
    assert (await cloud.delete(f"{V3}/projects/{project_id}", as_=ADMIN)).status == 204
    assert (await cloud.get(f"{V3}/limits/{made['id']}", as_=ADMIN)).status == 404


async def test_a_limit_needs_a_registered_one(cloud: ServiceUnderTest) -> None:
    limits = await Limits.of(cloud)
    assert (await limits.set(5, domain_id="default", region_id="RegionOne")).status == 403
    assert (await limits.set(5)).status == 400
    assert (await limits.set(5, domain_id="nowhere")).status == 400
    assert (await limits.set(-2, domain_id="default")).status == 400


async def test_all_or_none(cloud: ServiceUnderTest) -> None:
    limits = await Limits.of(cloud)
    good = {
        "service_id": limits.service_id,
        "resource_name": "cores",
        "resource_limit": 1,
        "domain_id": "default",
    }
    body = {"limits": [good, {**good, "resource_name": "unheard-of"}]}
    assert (await cloud.post(f"{V3}/limits", body, as_=ADMIN)).status == 403
    assert (await cloud.get(f"{V3}/limits", as_=ADMIN)).json()["limits"] == []


async def test_who_sees_which(cloud: ServiceUnderTest) -> None:
    limits = await Limits.of(cloud)
    here = (await make(cloud, "project", name="here"))["id"]
    elsewhere = (await make(cloud, "domain", name="elsewhere"))["id"]
    there = (await make(cloud, "project", name="there", domain_id=elsewhere))["id"]
    owners = ({"project_id": here}, {"project_id": there}, {"domain_id": "default"})
    ids = [(await limits.set(5, **owner)).json()["limits"][0]["id"] for owner in owners]

    async def seen(context: Any) -> set[str]:
        listed = (await cloud.get(f"{V3}/limits", as_=context)).json()["limits"]
        for each in ids:
            shown = (await cloud.get(f"{V3}/limits/{each}", as_=context)).status == 200
            assert shown is (each in {one["id"] for one in listed})
        return {each["id"] for each in listed}

    assert await seen(persona("system", "reader")) == set(ids)
    assert await seen(persona("domain", "reader", domain_id=elsewhere)) == {ids[1]}
    assert await seen(persona("domain", "reader")) == {ids[0], ids[2]}
    assert await seen(persona("project", "reader", project_id=there, domain_id=elsewhere)) == {ids[1]}


async def test_the_flat_model_lets_every_limit_be(cloud: ServiceUnderTest) -> None:
    limits = await Limits.of(cloud)
    project_id = (await make(cloud, "project", name="p"))["id"]
    assert (await limits.set(100, project_id=project_id)).status == 201
    assert (await cloud.get(f"{V3}/limits/model")).json()["model"]["name"] == "flat"


async def test_the_strict_model_lets_nothing_have_more_than_what_it_lies_in(tmp_path: Path) -> None:
    async with serving_identity(tmp_path, Settings(unified_limit_model="strict_two_level")) as cloud:
        limits = await Limits.of(cloud)
        project_id = (await make(cloud, "project", name="p"))["id"]
        assert (await cloud.get(f"{V3}/limits/model")).json()["model"]["name"] == "strict_two_level"
        assert (await limits.set(11, project_id=project_id)).status == 403
        assert (await limits.set(-1, project_id=project_id)).status == 403
        of_domain = (await limits.set(20, domain_id="default")).json()["limits"][0]["id"]
        of_project = (await limits.set(11, project_id=project_id)).json()["limits"][0]["id"]
        smaller = {"limit": {"resource_limit": 10}}
        assert (await cloud.patch(f"{V3}/limits/{of_domain}", smaller, as_=ADMIN)).status == 403
        assert (await cloud.delete(f"{V3}/limits/{of_domain}", as_=ADMIN)).status == 403
        assert (await cloud.patch(f"{V3}/limits/{of_project}", smaller, as_=ADMIN)).status == 200
        assert (await cloud.delete(f"{V3}/limits/{of_domain}", as_=ADMIN)).status == 204
