"""Identity through its API: tokens and what they mean, and everything that changes their meaning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pileus.kernel.context import Context
from pileus.services.identity.keys import KeyFolder
from pileus.testing.identity import ADMIN_PROJECT, V3, by_password, make, role_id, serving_identity, token_for
from pileus.testing.personas import persona
from pileus.testing.service import ADMIN, ServiceUnderTest

PROJECT = ADMIN_PROJECT


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with serving_identity(tmp_path) as running:
        yield running


async def subject(cloud: ServiceUnderTest, token: str, as_: Context = ADMIN) -> Any:
    return await cloud.get(f"{V3}/auth/tokens", headers={"x-subject-token": token}, as_=as_)


async def test_a_token_for_a_project_says_who_where_and_what(cloud: ServiceUnderTest) -> None:
    reply = await token_for(cloud, **PROJECT)
    assert reply.status == 201
    token = reply.json()["token"]
    assert {role["name"] for role in token["roles"]} == {"admin", "manager", "member", "reader"}
    assert token["project"]["name"] == "admin"
    assert token["methods"] == ["password"]
    (compute,) = token["catalog"]
    assert compute["endpoints"][0]["url"] == f"http://c/{token['project']['id']}"
    again = await subject(cloud, reply.headers["x-subject-token"])
    assert again.json() == reply.json()


@pytest.mark.parametrize(
    ("scope", "shown"),
    [
        ({"system": {"all": True}}, "system"),
        ({"domain": {"id": "default"}}, "domain"),
        ({"unscoped": {}}, "methods"),
    ],
)
async def test_other_scopes(cloud: ServiceUnderTest, scope: dict[str, Any], shown: str) -> None:
    token = (await token_for(cloud, **scope)).json()["token"]
    assert shown in token
    assert "project" not in token
    assert ("catalog" in token) == ("unscoped" not in scope)


async def test_wrong_user_and_wrong_password_read_the_same(cloud: ServiceUnderTest) -> None:
    wrong_password = await token_for(cloud, "admin", "no")
    wrong_user = await token_for(cloud, "nobody", "no")
    assert wrong_password.status == wrong_user.status == 401
    assert wrong_password.body == wrong_user.body
    assert "www-authenticate" in wrong_user.headers


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"auth": {}},
        {"auth": {"identity": {"methods": []}}},
        {"auth": {"identity": {"methods": ["password"]}}},
        {"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "x"}}}}},
        {**by_password("admin", "admin-password", project={"name": "admin"})},
        {**by_password("admin", "admin-password", project={"id": "x"}, domain={"id": "y"})},
        {**by_password("admin", "admin-password", system={"all": False})},
    ],
)
async def test_malformed_requests_are_400(cloud: ServiceUnderTest, body: Any) -> None:
    assert (await cloud.post(f"{V3}/auth/tokens", body)).status == 400


async def test_rescoping_keeps_expiry_and_chain(cloud: ServiceUnderTest) -> None:
    first = await token_for(cloud, unscoped={})
    body = {
        "auth": {
            "identity": {"methods": ["token"], "token": {"id": first.headers["x-subject-token"]}},
            "scope": PROJECT,
        }
    }
    second = await cloud.post(f"{V3}/auth/tokens", body)
    assert second.status == 201
    old, new = first.json()["token"], second.json()["token"]
    assert new["expires_at"] == old["expires_at"]
    assert new["audit_ids"][1] == old["audit_ids"][0]
    assert new["methods"] == ["password", "token"]


async def test_an_expired_token_is_none(cloud: ServiceUnderTest) -> None:
    token = (await token_for(cloud, **PROJECT)).headers["x-subject-token"]
    assert (await subject(cloud, token)).status == 200
    cloud.runtime.clock.by = timedelta(hours=2)  # type: ignore[attr-defined]
    assert (await subject(cloud, token)).status == 404


async def test_keys_rotate_under_living_tokens(cloud: ServiceUnderTest) -> None:
    token = (await token_for(cloud, **PROJECT)).headers["x-subject-token"]
    keys: KeyFolder = cloud.runtime.state.keys
    keys.rotate()
    cloud.runtime.revision.bump()
    assert (await subject(cloud, token)).status == 200
    for _ in range(keys.keep):
        keys.rotate()
    cloud.runtime.revision.bump()
    assert (await subject(cloud, token)).status == 404
    assert sorted(path.name for path in keys.folder.iterdir())[0] == "0"
    assert {path.stat().st_mode & 0o777 for path in keys.folder.iterdir()} == {0o600}


async def _bob(cloud: ServiceUnderTest) -> tuple[dict[str, Any], dict[str, Any], str]:
    """A user with the role member in a project of its own, and a token for it."""
    project = await make(cloud, "project", name="p", domain_id="default")
    user = await make(
        cloud, "user", name="bob", domain_id="default", password="secret", email="b@example.org"
    )
    assert user["email"] == "b@example.org"
    assert "password" not in user
    grant = f"{V3}/projects/{project['id']}/users/{user['id']}/roles/{await role_id(cloud, 'member')}"
    assert (await cloud.put(grant, as_=ADMIN)).status == 204
    assert (await cloud.request("HEAD", grant, as_=ADMIN)).status == 204
    reply = await token_for(cloud, "bob", "secret", project={"id": project["id"]})
    assert reply.status == 201
    return user, project, reply.headers["x-subject-token"]


@pytest.mark.parametrize(
    "how", ["disable user", "new password", "disable project", "take role", "delete user", "revoke"]
)
async def test_what_voids_a_token(cloud: ServiceUnderTest, how: str) -> None:
    user, project, token = await _bob(cloud)
    assert (await subject(cloud, token)).status == 200
    match how:
        case "disable user":
            reply = await cloud.patch(f"{V3}/users/{user['id']}", {"user": {"enabled": False}}, as_=ADMIN)
        case "new password":
            reply = await cloud.patch(f"{V3}/users/{user['id']}", {"user": {"password": "other"}}, as_=ADMIN)
        case "disable project":
            reply = await cloud.patch(
                f"{V3}/projects/{project['id']}", {"project": {"enabled": False}}, as_=ADMIN
            )
        case "take role":
            member = await role_id(cloud, "member")
            reply = await cloud.delete(
                f"{V3}/projects/{project['id']}/users/{user['id']}/roles/{member}", as_=ADMIN
            )
        case "delete user":
            reply = await cloud.delete(f"{V3}/users/{user['id']}", as_=ADMIN)
        case _:
            reply = await cloud.delete(f"{V3}/auth/tokens", headers={"x-subject-token": token}, as_=ADMIN)
    assert reply.status in (200, 204), reply.body
    assert (await subject(cloud, token)).status == 404


async def test_roles_come_by_groups_and_from_above(cloud: ServiceUnderTest) -> None:
    user, project, _ = await _bob(cloud)
    child = await make(cloud, "project", name="child", domain_id="default", parent_id=project["id"])
    scope = {"project": {"id": child["id"]}}
    assert (await token_for(cloud, "bob", "secret", **scope)).status == 401
    group = await make(cloud, "group", name="g", domain_id="default")
    assert (await cloud.put(f"{V3}/groups/{group['id']}/users/{user['id']}", as_=ADMIN)).status == 204
    reader = await role_id(cloud, "reader")
    inherited = (
        f"{V3}/OS-INHERIT/projects/{project['id']}/groups/{group['id']}/roles/{reader}/inherited_to_projects"
    )
    assert (await cloud.put(inherited, as_=ADMIN)).status == 204
    token = (await token_for(cloud, "bob", "secret", **scope)).json()["token"]
    assert [role["name"] for role in token["roles"]] == ["reader"]
    query = (
        f"{V3}/role_assignments?effective&user.id={user['id']}&scope.project.id={child['id']}&include_names"
    )
    (assignment,) = (await cloud.get(query, as_=ADMIN)).json()["role_assignments"]
    assert assignment["role"]["name"] == "reader"
    assert assignment["scope"]["project"]["name"] == "child"
    assert "membership" in assignment["links"]


async def test_a_user_changes_its_own_password(cloud: ServiceUnderTest) -> None:
    user, _, _ = await _bob(cloud)
    bob = persona("project", "member", user_id=user["id"])
    path = f"{V3}/users/{user['id']}/password"
    change = {"user": {"original_password": "wrong", "password": "new"}}
    assert (await cloud.post(path, change, as_=bob)).status == 401
    change["user"]["original_password"] = "secret"
    assert (await cloud.post(path, change, as_=bob)).status == 204
    assert (await token_for(cloud, "bob", "secret")).status == 401
    assert (await token_for(cloud, "bob", "new")).status == 201


async def test_names_are_unique_in_a_domain(cloud: ServiceUnderTest) -> None:
    other = await make(cloud, "domain", name="other")
    await make(cloud, "project", name="same", domain_id="default")
    await make(cloud, "project", name="same", domain_id=other["id"])
    reply = await cloud.post(
        f"{V3}/projects", {"project": {"name": "same", "domain_id": "default"}}, as_=ADMIN
    )
    assert reply.status == 409
    assert "same" in reply.json()["error"]["message"]


async def test_a_domain_is_disabled_before_it_goes_with_all_in_it(cloud: ServiceUnderTest) -> None:
    domain = await make(cloud, "domain", name="d")
    project = await make(cloud, "project", name="p", domain_id=domain["id"])
    path = f"{V3}/domains/{domain['id']}"
    assert (await cloud.delete(path, as_=ADMIN)).status == 403
    assert (await cloud.patch(path, {"domain": {"enabled": False}}, as_=ADMIN)).status == 200
    assert (await cloud.delete(path, as_=ADMIN)).status == 204
    assert (await cloud.get(f"{V3}/projects/{project['id']}", as_=ADMIN)).status == 404


async def test_who_may_not_learns_nothing_of_what_is_there(cloud: ServiceUnderTest) -> None:
    member = persona("project", "member")
    there, nowhere = await make(cloud, "user", name="u", domain_id="default"), "0" * 32
    assert (await cloud.get(f"{V3}/users/{there['id']}", as_=member)).status == 403
    assert (await cloud.get(f"{V3}/users/{nowhere}", as_=member)).status == 403
    assert (await cloud.get(f"{V3}/users/{nowhere}", as_=ADMIN)).status == 404


async def test_implied_roles_close_no_circle(cloud: ServiceUnderTest) -> None:
    reader, member = await role_id(cloud, "reader"), await role_id(cloud, "member")
    assert (await cloud.put(f"{V3}/roles/{reader}/implies/{member}", as_=ADMIN)).status == 400
    assert (await cloud.get(f"{V3}/roles/{member}/implies/{reader}", as_=ADMIN)).status == 200


async def test_immutable_roles_stay(cloud: ServiceUnderTest) -> None:
    assert (await cloud.delete(f"{V3}/roles/{await role_id(cloud, 'reader')}", as_=ADMIN)).status == 403


async def test_tags_of_projects(cloud: ServiceUnderTest) -> None:
    project = await make(cloud, "project", name="p", domain_id="default")
    path = f"{V3}/projects/{project['id']}/tags"
    assert (await cloud.put(f"{path}/red", as_=ADMIN)).status == 201
    assert (await cloud.put(path, {"tags": ["a", "b"]}, as_=ADMIN)).json()["tags"] == ["a", "b"]
    assert (await cloud.get(f"{path}/red", as_=ADMIN)).status == 404
    found = (await cloud.get(f"{V3}/projects?tags=a,b", as_=ADMIN)).json()["projects"]
    assert [each["id"] for each in found] == [project["id"]]


async def test_the_catalog_is_made_of_services_and_endpoints(cloud: ServiceUnderTest) -> None:
    listed = await make(cloud, "service", type="dns", name="designate")
    endpoint = {
        "service_id": listed["id"],
        "interface": "public",
        "url": "http://d",
        "region_id": "RegionOne",
    }
    made = await make(cloud, "endpoint", **endpoint)
    assert made["region"] == "RegionOne"
    catalog = (await token_for(cloud, **PROJECT)).json()["token"]["catalog"]
    assert {entry["type"] for entry in catalog} == {"compute", "dns"}
    assert (await cloud.delete(f"{V3}/services/{listed['id']}", as_=ADMIN)).status == 204
    assert (await cloud.get(f"{V3}/endpoints/{made['id']}", as_=ADMIN)).status == 404


async def test_discovery(cloud: ServiceUnderTest) -> None:
    reply = await cloud.get("/identity/")
    assert reply.status == 300
    assert reply.json()["versions"]["values"][0]["id"] == "v3.14"
    assert (await cloud.get(V3)).json()["version"]["links"][0]["href"].endswith("/identity/v3/")


@pytest.mark.parametrize("noun", ["user", "group", "project", "domain"])
async def test_lists_are_for_the_domain_or_administrators_not_for_members_of_projects(
    cloud: ServiceUnderTest, noun: str
) -> None:
    for role in ("manager", "member", "reader"):
        assert (await cloud.get(f"{V3}/{noun}s", as_=persona("project", role))).status == 403


async def test_a_manager_of_a_project_makes_no_users_even_without_naming_a_domain(
    cloud: ServiceUnderTest,
) -> None:
    for body in (
        {"name": "mole"},
        {"name": "mole", "domain_id": None},
        {"name": "mole", "domain_id": "default"},
    ):
        reply = await cloud.post(f"{V3}/users", {"user": body}, as_=persona("project", "manager"))
        assert reply.status == 403
    assert (await cloud.get(f"{V3}/users?name=mole", as_=ADMIN)).json()["users"] == []


async def test_who_knows_the_old_password_sets_a_new_one_without_a_token(cloud: ServiceUnderTest) -> None:
    user = await make(cloud, "user", name="ann", password="old")

    async def change(old: str) -> int:
        body = {"user": {"original_password": old, "password": "new"}}
        return (await cloud.post(f"{V3}/users/{user['id']}/password", body, as_=Context())).status

    assert await change("wrong") == 401
    assert await change("old") == 204
    assert (await token_for(cloud, "ann", "new")).status == 201
    await cloud.patch(f"{V3}/users/{user['id']}", {"user": {"enabled": False}}, as_=ADMIN)
    assert await change("new") == 401


async def test_a_project_may_be_a_domain(cloud: ServiceUnderTest) -> None:
    made = await make(cloud, "project", name="acme", is_domain=True)
    assert made["domain_id"] is made["parent_id"] is None
    listed = (await cloud.get(f"{V3}/projects?is_domain=true", as_=ADMIN)).json()["projects"]
    assert made["id"] in {each["id"] for each in listed}
    assert (await cloud.get(f"{V3}/domains/{made['id']}", as_=ADMIN)).json()["domain"]["name"] == "acme"
    twice = {"project": {"name": "acme", "is_domain": True}}
    assert (await cloud.post(f"{V3}/projects", twice, as_=ADMIN)).status == 409
    await make(cloud, "user", name="bob", domain_id=made["id"])
    path = f"{V3}/projects/{made['id']}"
    assert (await cloud.delete(path, as_=ADMIN)).status == 403
    assert (await cloud.patch(path, {"project": {"enabled": False}}, as_=ADMIN)).status == 200
    assert (await cloud.delete(path, as_=ADMIN)).status == 204
    assert (await cloud.get(f"{V3}/users?name=bob", as_=ADMIN)).json()["users"] == []


@pytest.mark.parametrize("noun", ["project", "domain"])
@pytest.mark.parametrize("name", ["", "   ", "x" * 65])
async def test_names_of_projects_and_domains(cloud: ServiceUnderTest, noun: str, name: str) -> None:
    assert (await cloud.post(f"{V3}/{noun}s", {noun: {"name": name}}, as_=ADMIN)).status == 400


async def test_a_region_under_the_id_that_the_client_wants(cloud: ServiceUnderTest) -> None:
    path = f"{V3}/regions/north"
    assert (await cloud.put(path, {"region": {"id": "south"}}, as_=ADMIN)).status == 400
    made = await cloud.put(path, {"region": {"description": "cold"}}, as_=ADMIN)
    assert (made.status, made.json()["region"]["id"]) == (201, "north")
    assert (await cloud.put(path, {"region": {}}, as_=ADMIN)).status == 409
    assert (await cloud.get(path, as_=ADMIN)).json()["region"]["description"] == "cold"


async def test_a_role_for_all_implies_no_role_of_a_domain(cloud: ServiceUnderTest) -> None:
    local = await make(cloud, "role", name="operator", domain_id="default")
    everybodys = await role_id(cloud, "reader")
    assert (await cloud.put(f"{V3}/roles/{everybodys}/implies/{local['id']}", as_=ADMIN)).status == 403
    assert (await cloud.put(f"{V3}/roles/{local['id']}/implies/{everybodys}", as_=ADMIN)).status == 201
