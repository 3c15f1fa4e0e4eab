"""What surrounds the catalog: endpoint groups, which project sees which endpoints, stored policies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pileus.testing.identity import ADMIN_PROJECT, V3, make, serving_identity, token_for
from pileus.testing.service import ADMIN, ServiceUnderTest


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with serving_identity(tmp_path) as running:
        yield running


async def asked(cloud: ServiceUnderTest, method: str, path: str, body: Any = None) -> Any:
    return await cloud.request(method, f"{V3}{path}", body, as_=ADMIN)


async def ids(cloud: ServiceUnderTest, path: str, collection: str) -> set[str]:
    reply = await asked(cloud, "GET", path)
    assert reply.status == 200, reply.body
    return {each["id"] for each in reply.json()[collection]}


async def catalog_types(cloud: ServiceUnderTest) -> set[tuple[str, str]]:
    token = (await token_for(cloud, **ADMIN_PROJECT)).json()["token"]
    return {(entry["type"], each["interface"]) for entry in token["catalog"] for each in entry["endpoints"]}


async def admin_project(cloud: ServiceUnderTest) -> str:
    return str((await asked(cloud, "GET", "/projects?name=admin")).json()["projects"][0]["id"])


async def endpoint(cloud: ServiceUnderTest, kind: str, region: str | None = None) -> dict[str, Any]:
    service_id = (await make(cloud, "service", type=kind, name=kind))["id"]
    return await make(
        cloud, "endpoint", service_id=service_id, interface="public", url="http://x", region_id=region
    )


async def group(cloud: ServiceUnderTest, **filters: str) -> str:
    body = {"endpoint_group": {"name": "g", "filters": filters}}
    reply = await asked(cloud, "POST", "/OS-EP-FILTER/endpoint_groups", body)
    assert reply.status == 201, reply.body
    return str(reply.json()["endpoint_group"]["id"])


async def test_a_project_that_was_given_an_endpoint_sees_no_other(cloud: ServiceUnderTest) -> None:
    project_id, dns = await admin_project(cloud), await endpoint(cloud, "dns")
    everything = await catalog_types(cloud)
    path = f"/OS-EP-FILTER/projects/{project_id}/endpoints/{dns['id']}"
    assert (await asked(cloud, "GET", path)).status == 404
    assert (await asked(cloud, "PUT", path)).status == 204
    assert (await asked(cloud, "HEAD", path)).status == 204
    assert await catalog_types(cloud) == {("dns", "public")}
    assert await ids(cloud, f"/OS-EP-FILTER/projects/{project_id}/endpoints", "endpoints") == {dns["id"]}
    assert await ids(cloud, f"/OS-EP-FILTER/endpoints/{dns['id']}/projects", "projects") == {project_id}
    assert (await asked(cloud, "DELETE", path)).status == 204
    assert (await asked(cloud, "DELETE", path)).status == 404
    assert await catalog_types(cloud) == everything


async def test_a_project_sees_the_endpoints_of_its_groups(cloud: ServiceUnderTest) -> None:
    project_id, group_id = await admin_project(cloud), await group(cloud, interface="internal")
    path = f"/OS-EP-FILTER/endpoint_groups/{group_id}/projects/{project_id}"
    assert (await asked(cloud, "PUT", path)).status == 204
    assert (await asked(cloud, "GET", path)).json()["project_endpoint_group"]["project_id"] == project_id
    assert await catalog_types(cloud) == {("compute", "internal")}
    base = "/OS-EP-FILTER"
    assert await ids(cloud, f"{base}/endpoint_groups/{group_id}/projects", "projects") == {project_id}
    assert await ids(cloud, f"{base}/projects/{project_id}/endpoint_groups", "endpoint_groups") == {group_id}
    of_group = await ids(cloud, f"{base}/endpoint_groups/{group_id}/endpoints", "endpoints")
    assert of_group == await ids(cloud, f"{base}/projects/{project_id}/endpoints", "endpoints")
    changed = {"endpoint_group": {"filters": {"interface": "admin"}}}
    assert (await asked(cloud, "PATCH", f"{base}/endpoint_groups/{group_id}", changed)).status == 200
    assert await catalog_types(cloud) == {("compute", "admin")}
    assert (await asked(cloud, "DELETE", f"{base}/endpoint_groups/{group_id}")).status == 204
    assert len(await catalog_types(cloud)) == 3


@pytest.mark.parametrize("filters", [{}, {"colour": "red"}, {"interface": "secret"}, None])
async def test_filters_that_make_no_sense(cloud: ServiceUnderTest, filters: Any) -> None:
    body = {"endpoint_group": {"name": "g", "filters": filters}}
    assert (await asked(cloud, "POST", "/OS-EP-FILTER/endpoint_groups", body)).status == 400


async def test_the_nearest_policy_holds(cloud: ServiceUnderTest) -> None:
    await make(cloud, "region", id="above")
    await make(cloud, "region", id="below", parent_region_id="above")
    one = await endpoint(cloud, "dns", "below")
    service = f"services/{one['service_id']}"
    places = [service, f"{service}/regions/above", f"{service}/regions/below", f"endpoints/{one['id']}"]
    found = f"/endpoints/{one['id']}/OS-ENDPOINT-POLICY/policy"
    assert (await asked(cloud, "GET", found)).status == 404
    for place in places:
        body = {"policy": {"type": "application/json", "blob": place}}
        policy_id = (await asked(cloud, "POST", "/policies", body)).json()["policy"]["id"]
        path = f"/policies/{policy_id}/OS-ENDPOINT-POLICY/{place}"
        assert (await asked(cloud, "GET", path)).status == 404
        assert (await asked(cloud, "PUT", path)).status == 204
        assert (await asked(cloud, "GET", path)).status == 204
        assert (await asked(cloud, "GET", found)).json()["policy"]["blob"] == place
        under = f"/policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints"
        assert await ids(cloud, under, "endpoints") == {one["id"]}
    assert (await asked(cloud, "DELETE", path)).status == 204
    assert (await asked(cloud, "GET", found)).json()["policy"]["blob"] == places[-2]
    assert await ids(cloud, under, "endpoints") == set()


async def test_a_place_has_one_policy_and_forgets_it(cloud: ServiceUnderTest) -> None:
    one = await endpoint(cloud, "dns")
    policies = []
    for blob in ("first", "second"):
        body = {"policy": {"type": "text/plain", "blob": blob, "note": "kept"}}
        made = (await asked(cloud, "POST", "/policies", body)).json()["policy"]
        assert made["note"] == "kept"
        path = f"/policies/{made['id']}/OS-ENDPOINT-POLICY/endpoints/{one['id']}"
        assert (await asked(cloud, "PUT", path)).status == 204
        policies.append(made["id"])
    assert await ids(cloud, f"/policies/{policies[0]}/OS-ENDPOINT-POLICY/endpoints", "endpoints") == set()
    assert (await asked(cloud, "DELETE", f"/endpoints/{one['id']}")).status == 204
    assert await ids(cloud, f"/policies/{policies[1]}/OS-ENDPOINT-POLICY/endpoints", "endpoints") == set()
    assert await ids(cloud, "/policies?type=text/plain", "policies") == set(policies)
    assert (await asked(cloud, "DELETE", f"/policies/{policies[0]}")).status == 204
    assert await ids(cloud, "/policies", "policies") == {policies[1]}
