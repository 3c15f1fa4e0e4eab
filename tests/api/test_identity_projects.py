"""Projects: how they lie in each other, their tags and options, and what lists of them show."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pileus.services.identity.settings import Settings
from pileus.testing.identity import V3, make, role_id, serving_identity
from pileus.testing.personas import persona
from pileus.testing.service import ADMIN, ServiceUnderTest


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with serving_identity(tmp_path) as running:
        yield running


async def branch(cloud: ServiceUnderTest, depth: int) -> list[str]:
    """Projects each below the one before."""
    found: list[str] = []
    for n in range(depth):
        parent = {"parent_id": found[-1]} if found else {}
        found.append((await make(cloud, "project", name=f"level-{n}", **parent))["id"])
    return found


async def status(cloud: ServiceUnderTest, method: str, path: str, body: Any = None) -> int:
    return int((await cloud.request(method, f"{V3}{path}", body, as_=ADMIN)).status)


async def named(cloud: ServiceUnderTest, query: str) -> list[str]:
    reply = await cloud.get(f"{V3}/projects?{query}", as_=ADMIN)
    assert reply.status == 200, reply.body
    return [each["name"] for each in reply.json()["projects"]]


async def test_a_family_as_ids_is_whole(cloud: ServiceUnderTest) -> None:
    top, middle, bottom = await branch(cloud, 3)
    reply = await cloud.get(f"{V3}/projects/{middle}?parents_as_ids&subtree_as_ids", as_=ADMIN)
    shown = reply.json()["project"]
    assert shown["parents"] == {top: {"default": None}}
    assert shown["subtree"] == {bottom: None}


async def test_a_family_as_a_list_has_what_the_caller_has_a_role_on(cloud: ServiceUnderTest) -> None:
    top, middle, bottom = await branch(cloud, 3)
    user_id = (await make(cloud, "user", name="u"))["id"]
    reader = await role_id(cloud, "reader")
    assert await status(cloud, "PUT", f"/projects/{bottom}/users/{user_id}/roles/{reader}") == 204
    caller = persona("system", "admin", user_id=user_id)
    path = f"{V3}/projects/{middle}?parents_as_list&subtree_as_list"
    shown = (await cloud.get(path, as_=caller)).json()["project"]
    assert shown["parents"] == []
    assert [each["project"]["id"] for each in shown["subtree"]] == [bottom]
    assert top != middle


async def test_a_family_is_not_asked_for_in_both_ways(cloud: ServiceUnderTest) -> None:
    (top,) = await branch(cloud, 1)
    assert await status(cloud, "GET", f"/projects/{top}?parents_as_list&parents_as_ids") == 400
    assert await status(cloud, "GET", f"/projects/{top}?subtree_as_list&subtree_as_ids") == 400


async def test_branches_have_an_end(cloud: ServiceUnderTest) -> None:
    deepest = (await branch(cloud, 5))[-1]
    body = {"project": {"name": "deeper", "parent_id": deepest}}
    assert await status(cloud, "POST", "/projects", body) == 403


async def test_a_strict_limit_model_allows_two_levels(tmp_path: Path) -> None:
    async with serving_identity(tmp_path, Settings(unified_limit_model="strict_two_level")) as cloud:
        deepest = (await branch(cloud, 2))[-1]
        body = {"project": {"name": "deeper", "parent_id": deepest}}
        assert await status(cloud, "POST", "/projects", body) == 403


async def test_what_is_disabled_has_nothing_enabled_below(cloud: ServiceUnderTest) -> None:
    top, below = await branch(cloud, 2)
    off, on = {"project": {"enabled": False}}, {"project": {"enabled": True}}
    assert await status(cloud, "PATCH", f"/projects/{top}", off) == 403
    assert await status(cloud, "PATCH", f"/projects/{below}", off) == 200
    assert await status(cloud, "PATCH", f"/projects/{top}", off) == 200
    assert await status(cloud, "PATCH", f"/projects/{below}", on) == 403
    assert await status(cloud, "POST", "/projects", {"project": {"name": "n", "parent_id": top}}) == 400


async def test_only_a_leaf_is_deleted(cloud: ServiceUnderTest) -> None:
    top, below = await branch(cloud, 2)
    assert await status(cloud, "DELETE", f"/projects/{top}") == 403
    assert await status(cloud, "DELETE", f"/projects/{below}") == 204
    assert await status(cloud, "DELETE", f"/projects/{top}") == 204


@pytest.mark.parametrize("noun", ["project", "role"])
async def test_what_is_immutable_must_be_freed_first(cloud: ServiceUnderTest, noun: str) -> None:
    made = await make(cloud, noun, name="n", options={"immutable": True})
    path = f"/{noun}s/{made['id']}"
    free = {"options": {"immutable": False}}
    assert await status(cloud, "PATCH", path, {noun: {"name": "other"}}) == 403
    assert await status(cloud, "PATCH", path, {noun: {"name": "other", **free}}) == 403
    assert await status(cloud, "PATCH", path, {noun: {"colour": "red", **free}}) == 403
    assert await status(cloud, "DELETE", path) == 403
    assert await status(cloud, "PATCH", path, {noun: free}) == 200
    assert await status(cloud, "DELETE", path) == 204


async def test_tags_of_what_is_immutable_stay(cloud: ServiceUnderTest) -> None:
    made = await make(cloud, "project", name="n", tags=["one"], options={"immutable": True})
    for method, path in (("PUT", "/two"), ("DELETE", "/one"), ("DELETE", "")):
        assert await status(cloud, method, f"/projects/{made['id']}/tags{path}") == 403


async def test_there_are_no_other_options(cloud: ServiceUnderTest) -> None:
    body = {"project": {"name": "n", "options": {"colour": "red"}}}
    assert await status(cloud, "POST", "/projects", body) == 400


@pytest.mark.parametrize(
    "attribute", [{"is_domain": True}, {"domain_id": "other"}, {"tags": ["a,b"]}, {"tags": ["a", "a"]}]
)
async def test_changes_that_make_no_sense(cloud: ServiceUnderTest, attribute: dict[str, Any]) -> None:
    (top,) = await branch(cloud, 1)
    assert await status(cloud, "PATCH", f"/projects/{top}", {"project": attribute}) == 400


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tags=red", ["both", "red"]),
        ("tags=red,blue", ["both"]),
        ("tags-any=red,blue", ["blue", "both", "red"]),
        ("not-tags=red,blue", ["admin", "blue", "red", "service"]),
        ("not-tags-any=red,blue", ["admin", "service"]),
        ("tags=RED", []),
        ("name__contains=LU", ["blue"]),
        ("name__icontains=lu", ["blue"]),
        ("name__startswith=b", ["blue", "both"]),
        ("name__endswith=E", ["blue", "service"]),
        ("name__iequals=BLUE", ["blue"]),
        ("name__equals=BLUE", []),
        ("name__resembles=x", ["admin", "blue", "both", "red", "service"]),
        ("name__contains=%25", []),
        ("enabled=false", []),
    ],
)
async def test_filters(cloud: ServiceUnderTest, query: str, found: list[str]) -> None:
    await make(cloud, "project", name="red", tags=["red"])
    await make(cloud, "project", name="blue", tags=["blue"])
    await make(cloud, "project", name="both", tags=["red", "blue"])
    assert sorted(await named(cloud, query)) == found


async def test_names_are_stripped(cloud: ServiceUnderTest) -> None:
    assert (await make(cloud, "project", name="  n "))["name"] == "n"


async def test_a_user_s_projects_take_filters(cloud: ServiceUnderTest) -> None:
    user_id = (await make(cloud, "user", name="u"))["id"]
    reader = await role_id(cloud, "reader")
    for name in ("one", "two"):
        project_id = (await make(cloud, "project", name=name))["id"]
        assert await status(cloud, "PUT", f"/projects/{project_id}/users/{user_id}/roles/{reader}") == 204
    reply = await cloud.get(f"{V3}/users/{user_id}/projects?name__startswith=T", as_=ADMIN)
    assert [each["name"] for each in reply.json()["projects"]] == ["two"]


async def test_a_list_that_is_cut_says_so(tmp_path: Path) -> None:
    async with serving_identity(tmp_path, Settings(list_limit=2)) as cloud:
        for name in ("one", "two"):
            await make(cloud, "project", name=name)
        body = (await cloud.get(f"{V3}/projects", as_=ADMIN)).json()
        assert (len(body["projects"]), body["truncated"], body["links"]["next"]) == (2, True, None)
        page = (await cloud.get(f"{V3}/projects?limit=3", as_=ADMIN)).json()
        assert len(page["projects"]) == 3
        assert "truncated" not in page
        assert f"marker={page['projects'][-1]['id']}" in page["links"]["next"]
        whole = (await cloud.get(f"{V3}/projects?name=one", as_=ADMIN)).json()
        assert "truncated" not in whole
