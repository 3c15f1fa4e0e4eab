"""Application credentials: a program with some of a user's roles on one project, and with rules for what it may call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pileus.kernel.api.access_rules import permits
from pileus.kernel.context import AccessRule
from pileus.services.identity.settings import Settings
from pileus.testing.identity import (
    V3,
    Somebody,
    authenticated,
    role_id,
    serving_identity,
    shown_token,
    somebody,
)
from pileus.testing.personas import persona
from pileus.testing.service import ADMIN, ServiceUnderTest


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    settings = Settings(application_credential_user_limit=5)
    async with serving_identity(tmp_path, settings) as running:
        yield running


async def make_for(cloud: ServiceUnderTest, bob: Somebody, **values: Any) -> dict[str, Any]:
    reply = await cloud.post(
        f"{bob.path}/application_credentials",
        {"application_credential": {"name": "ci", **values}},
        as_=bob.context,
    )
    assert reply.status == 201, reply.body
    made: dict[str, Any] = reply.json()["application_credential"]
    return made


async def by_credential(cloud: ServiceUnderTest, made: dict[str, Any]) -> Any:
    part = {"id": made["id"], "secret": made["secret"]}
    return await authenticated(cloud, application_credential=part)


async def test_a_program_acts_with_the_roles_it_was_given(cloud: ServiceUnderTest) -> None:
    bob = await somebody(cloud, "bob")
    made = await make_for(cloud, bob, roles=[{"name": "reader"}], description="d")
    assert made["project_id"] == bob.project["id"]
    assert made["unrestricted"] is False
    assert "access_rules" not in made
    assert made["links"]["self"].endswith(f"/users/{bob.id}/application_credentials/{made['id']}")
    listed = (await cloud.get(f"{bob.path}/application_credentials?name=ci", as_=bob.context)).json()
    (again,) = listed["application_credentials"]
    assert again == {name: value for name, value in made.items() if name != "secret"}
    reply = await by_credential(cloud, made)
    assert reply.status == 201
    token = reply.json()["token"]
    assert [each["name"] for each in token["roles"]] == ["reader"]
    assert token["methods"] == ["application_credential"]
    assert token["application_credential"] == {"id": made["id"], "name": "ci", "restricted": True}
    assert token["project"]["id"] == bob.project["id"]
    by_name = {"name": "ci", "user": {"name": "bob", "domain": {"id": "default"}}, "secret": made["secret"]}
    assert (await authenticated(cloud, application_credential=by_name)).status == 201


async def test_wrong_ones_read_the_same(cloud: ServiceUnderTest) -> None:
    bob = await somebody(cloud, "bob")
    made = await make_for(cloud, bob)
    wrong = [{"id": made["id"], "secret": "no"}, {"id": "0" * 32, "secret": made["secret"]}]
    first, second = [await authenticated(cloud, application_credential=part) for part in wrong]
    assert first.status == second.status == 401
    assert first.body == second.body


async def test_it_has_one_scope_and_is_exchanged_for_none(cloud: ServiceUnderTest) -> None:
    bob = await somebody(cloud, "bob")
    made = await make_for(cloud, bob)
    part = {"id": made["id"], "secret": made["secret"]}
    scope = {"project": {"id": bob.project["id"]}}
    assert (await authenticated(cloud, scope, application_credential=part)).status == 401
    token = (await by_credential(cloud, made)).headers["x-subject-token"]
    assert (await authenticated(cloud, scope, token={"id": token})).status == 403


async def test_expiry_bounds_its_tokens(cloud: ServiceUnderTest) -> None:
    bob = await somebody(cloud, "bob")
    at = datetime.now(UTC) + timedelta(minutes=10)
    made = await make_for(cloud, bob, expires_at=at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert made["expires_at"] == at.strftime("%Y-%m-%dT%H:%M:%S.000000")
    reply = await by_credential(cloud, made)
    assert reply.json()["token"]["expires_at"] == at.strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    cloud.runtime.clock.by = timedelta(minutes=11)  # type: ignore[attr-defined]
    assert (await by_credential(cloud, made)).status == 401
    assert (await shown_token(cloud, reply.headers["x-subject-token"])).status == 404


@pytest.mark.parametrize("how", ["delete", "disable user", "take role", "new password"])
async def test_what_voids_its_tokens(cloud: ServiceUnderTest, how: str) -> None:
    bob = await somebody(cloud, "bob")
    made = await make_for(cloud, bob)
    token = (await by_credential(cloud, made)).headers["x-subject-token"]
    assert (await shown_token(cloud, token)).status == 200
    mine = f"{bob.path}/application_credentials/{made['id']}"
    match how:
        case "delete":
            assert (await cloud.delete(mine, as_=bob.context)).status == 204
        case "disable user":
            await cloud.patch(bob.path, {"user": {"enabled": False}}, as_=ADMIN)
            assert (await cloud.get(mine, as_=ADMIN)).status == 404
        case "take role":
            grant = f"{V3}/projects/{bob.project['id']}/users/{bob.id}/roles/{await role_id(cloud, 'member')}"
            assert (await cloud.delete(grant, as_=ADMIN)).status == 204
            assert (await cloud.get(mine, as_=ADMIN)).status == 404
        case _:
            await cloud.patch(bob.path, {"user": {"password": "other"}}, as_=ADMIN)
    assert (await shown_token(cloud, token)).status == 404


async def test_only_the_unrestricted_make_others(cloud: ServiceUnderTest) -> None:
    bob = await somebody(cloud, "bob")
    state = cloud.runtime.state
    body = {"application_credential": {"name": "child"}}
    path = f"{bob.path}/application_credentials"
    restricted = await state.context(
        (await by_credential(cloud, await make_for(cloud, bob))).headers["x-subject-token"]
    )
    assert (await cloud.post(path, body, as_=restricted)).status == 403
    assert (await cloud.get(path, as_=restricted)).status == 200
    free = await make_for(cloud, bob, name="free", unrestricted=True)
    unrestricted = await state.context((await by_credential(cloud, free)).headers["x-subject-token"])
    assert (await cloud.post(path, body, as_=unrestricted)).status == 201
    assert (await cloud.post(path, body, as_=unrestricted)).status == 409


async def test_nobody_gets_more_than_the_token_has(cloud: ServiceUnderTest) -> None:
    bob = await somebody(cloud, "bob")
    path = f"{bob.path}/application_credentials"

    async def status(as_: Any = bob.context, where: str = path, **values: Any) -> int:
        body = {"application_credential": {"name": "x", **values}}
        return (await cloud.post(where, body, as_=as_)).status

    assert await status(roles=[{"name": "admin"}]) == 400
    assert await status(roles=[{"name": "nosuch"}]) == 404
    assert await status(roles=[{"name": "reader", "id": "1"}]) == 400
    assert await status(expires_at="2001-01-01T00:00:00Z") == 400
    assert await status(expires_at="soon") == 400
    assert await status(name="") == 400
    assert await status(colour="red") == 400
    assert await status(access_rules=[{"path": "no-slash", "method": "GET", "service": "compute"}]) == 400
    assert await status(access_rules=[{"path": "/x", "method": "LIST", "service": "compute"}]) == 400
    assert await status(access_rules=[{"id": "0" * 32}]) == 404
    assert await status(as_=persona("project", "admin")) == 403
    assert await status(as_=persona("system", "admin", user_id=bob.id)) == 403
    for name in "abcde":
        assert await status(name=name) == 201
    assert await status(name="f") == 403


async def test_others_learn_nothing(cloud: ServiceUnderTest) -> None:
    bob = await somebody(cloud, "bob")
    made = await make_for(cloud, bob)
    eve = await somebody(cloud, "eve")
    mine = f"{bob.path}/application_credentials/{made['id']}"
    for path in (mine, f"{bob.path}/application_credentials", f"{bob.path}/application_credentials/0"):
        assert (await cloud.get(path, as_=eve.context)).status == 403
    crafted = f"{eve.path}/application_credentials/{made['id']}"
    assert (await cloud.get(crafted, as_=eve.context)).status == 403
    assert (await cloud.delete(crafted, as_=eve.context)).status == 403
    assert (await cloud.get(crafted, as_=ADMIN)).status == 404
    assert (await cloud.get(mine, as_=persona("system", "reader"))).status == 200
    assert (await cloud.delete(mine, as_=persona("system", "reader"))).status == 403


async def test_access_rules_bind_calls_from_outside(cloud: ServiceUnderTest) -> None:
    bob = await somebody(cloud, "bob")
    rules = [
        {"service": "identity", "method": "GET", "path": "/v3/auth/projects"},
        {"service": "identity", "method": "GET", "path": "/v3/users/*/application_credentials"},
    ]
    made = await make_for(cloud, bob, access_rules=rules)
    reply = await by_credential(cloud, made)
    shown = reply.json()["token"]["application_credential"]["access_rules"]
    assert [{name: each[name] for name in ("service", "method", "path")} for each in shown] == rules
    token = reply.headers["x-subject-token"]
    assert (await cloud.get(f"{V3}/auth/projects", token=token)).status == 200
    assert (await cloud.get(f"{bob.path}/application_credentials", token=token)).status == 200
    assert (await cloud.get(f"{V3}/auth/domains", token=token)).status == 401
    assert (await cloud.get(f"{bob.path}/application_credentials/{made['id']}", token=token)).status == 401
    assert (await cloud.delete(f"{bob.path}/tokens", token=token)).status == 401
    unruled = await make_for(cloud, bob, name="unruled", access_rules=[])  # so the stock client says "none"
    token = (await by_credential(cloud, unruled)).headers["x-subject-token"]
    assert (await cloud.get(f"{V3}/auth/domains", token=token)).status == 200


async def test_access_rules_are_the_users_and_stay_while_they_are_used(cloud: ServiceUnderTest) -> None:
    bob, eve = await somebody(cloud, "bob"), await somebody(cloud, "eve")
    rule = {"service": "compute", "method": "GET", "path": "/v2.1/servers"}
    first = await make_for(cloud, bob, access_rules=[rule])
    second = await make_for(cloud, bob, name="second", access_rules=[rule])
    assert first["access_rules"] == second["access_rules"]
    (mine,) = (await cloud.get(f"{bob.path}/access_rules?path=/v2.1/servers", as_=bob.context)).json()[
        "access_rules"
    ]
    one = f"{bob.path}/access_rules/{mine['id']}"
    assert (await cloud.get(one, as_=bob.context)).json()["access_rule"]["path"] == "/v2.1/servers"
    assert (await cloud.get(one, as_=eve.context)).status == 403
    assert (await cloud.delete(one, as_=bob.context)).status == 403
    stolen = {"application_credential": {"name": "x", "access_rules": [{"id": mine["id"]}]}}
    assert (await cloud.post(f"{eve.path}/application_credentials", stolen, as_=eve.context)).status == 404
    for each in (first, second):
        await cloud.delete(f"{bob.path}/application_credentials/{each['id']}", as_=bob.context)
    assert (await cloud.delete(one, as_=bob.context)).status == 204
    assert (await cloud.get(one, as_=bob.context)).status == 404


@pytest.mark.parametrize(
    ("rule", "path", "matches"),
    [
        ("/v2.1/servers", "/compute/v2.1/servers", True),
        ("/compute/v2.1/servers", "/compute/v2.1/servers", True),
        ("/v2.1/servers", "/compute/v2.1/servers/1", False),
        ("/v2.1/servers/*", "/compute/v2.1/servers/1", True),
        ("/v2.1/servers/*", "/compute/v2.1/servers/1/action", False),
        ("/v2.1/servers/{server_id}/action", "/compute/v2.1/servers/1/action", True),
        ("/v2.1/**", "/compute/v2.1/servers/1/action", True),
        ("/v2.1/serv.rs", "/compute/v2.1/servers", False),
        ("/v2.1/servers/{broken", "/compute/v2.1/servers/1", False),
        ("/v2.1/servers/\n", "/compute/v2.1/servers/", False),
        ("/v2.1/s*s/*", "/compute/v2.1/servers/1", True),
        ("/v2.1/s*s/*", "/compute/v2.1/ss/1", False),
        ("/v2.1/servers/*", "/compute/v2.1/servers/", False),
        ("**/s**a*n", "/compute/v2.1/servers/a/action", True),
        ("**a" * 40 + "b", "/v2.1/" + "a" * 4000, False),
        ("*a" * 40 + "b", "a" * 4000, False),
    ],
)
def test_paths_of_access_rules(rule: str, path: str, matches: bool) -> None:
    rules = (AccessRule("compute", "GET", rule),)
    assert permits(rules, ("compute",), "/compute", "GET", path) is matches
    assert not permits(rules, ("compute",), "/compute", "POST", path)
    assert not permits(rules, ("network",), "/compute", "GET", path)
