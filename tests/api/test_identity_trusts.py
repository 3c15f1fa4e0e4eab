"""Trusts: another user acts with some of the trustor's roles on a project, and may hand that on where it was allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pileus.kernel.context import Context
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

TRUSTS = f"{V3}/OS-TRUST/trusts"


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with serving_identity(tmp_path) as running:
        yield running


async def ask(
    cloud: ServiceUnderTest, ann: Somebody, bob: Somebody, as_: Context | None = None, **values: Any
) -> Any:
    body = {
        "trustor_user_id": ann.id,
        "trustee_user_id": bob.id,
        "project_id": ann.project["id"],
        "impersonation": True,
        "roles": [{"name": "member"}],
        **values,
    }
    return await cloud.post(TRUSTS, {"trust": body}, as_=as_ or ann.context)


async def trust(
    cloud: ServiceUnderTest, ann: Somebody, bob: Somebody, as_: Context | None = None, **values: Any
) -> dict[str, Any]:
    reply = await ask(cloud, ann, bob, as_, **values)
    assert reply.status == 201, reply.body
    made: dict[str, Any] = reply.json()["trust"]
    return made


async def by_trust(cloud: ServiceUnderTest, who: Somebody, made: dict[str, Any]) -> Any:
    user = {"id": who.id, "password": f"{who.user['name']}-password"}
    return await authenticated(cloud, {"OS-TRUST:trust": {"id": made["id"]}}, password={"user": user})


@pytest.mark.parametrize("impersonation", [True, False])
async def test_the_trustee_acts(cloud: ServiceUnderTest, impersonation: bool) -> None:
    ann, bob = await somebody(cloud, "ann"), await somebody(cloud, "bob")
    made = await trust(cloud, ann, bob, impersonation=impersonation)
    assert made["roles"][0]["name"] == "member"
    assert made["roles_links"]["self"].endswith(f"/OS-TRUST/trusts/{made['id']}/roles")
    assert made["redelegation_count"] == 0
    reply = await by_trust(cloud, bob, made)
    assert reply.status == 201, reply.body
    token = reply.json()["token"]
    assert token["user"]["id"] == (ann.id if impersonation else bob.id)
    assert token["project"]["id"] == ann.project["id"]
    assert {each["name"] for each in token["roles"]} == {"member", "reader"}
    assert token["OS-TRUST:trust"] == {
        "id": made["id"],
        "impersonation": impersonation,
        "trustor_user": {"id": ann.id},
        "trustee_user": {"id": bob.id},
    }
    context = await cloud.runtime.state.context(reply.headers["x-subject-token"])
    assert (context.user_id, context.trust_id) == (token["user"]["id"], made["id"])
    assert (await by_trust(cloud, ann, made)).status == 403
    again = await authenticated(
        cloud, {"project": {"id": ann.project["id"]}}, token={"id": reply.headers["x-subject-token"]}
    )
    assert again.status == 403
    by_token = await authenticated(cloud, {"OS-TRUST:trust": {"id": made["id"]}}, token={"id": bob.token})
    assert by_token.status == 201


@pytest.mark.parametrize(
    "how",
    [
        "delete",
        "take role",
        "disable trustor",
        "disable trustee",
        "new password of trustor",
        "expire",
        "delete trustor",
    ],
)
async def test_what_voids_it(cloud: ServiceUnderTest, how: str) -> None:
    ann, bob = await somebody(cloud, "ann"), await somebody(cloud, "bob")
    at = (datetime.now(UTC) + timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = await trust(cloud, ann, bob, expires_at=at)
    reply = await by_trust(cloud, bob, made)
    token = reply.headers["x-subject-token"]
    assert (await shown_token(cloud, token)).status == 200
    match how:
        case "delete":
            assert (await cloud.delete(f"{TRUSTS}/{made['id']}", as_=bob.context)).status == 403
            assert (await cloud.delete(f"{TRUSTS}/{made['id']}", as_=ann.context)).status == 204
            assert (await cloud.get(f"{TRUSTS}/{made['id']}", as_=ann.context)).status == 404
        case "take role":
            grant = f"{V3}/projects/{ann.project['id']}/users/{ann.id}/roles/{await role_id(cloud, 'member')}"
            assert (await cloud.delete(grant, as_=ADMIN)).status == 204
        case "disable trustor":
            await cloud.patch(ann.path, {"user": {"enabled": False}}, as_=ADMIN)
        case "disable trustee":
            await cloud.patch(bob.path, {"user": {"enabled": False}}, as_=ADMIN)
        case "delete trustor":
            assert (await cloud.delete(ann.path, as_=ADMIN)).status == 204
        case "expire":
            cloud.runtime.clock.by = timedelta(minutes=31)  # type: ignore[attr-defined]
        case _:
            await cloud.patch(ann.path, {"user": {"password": "other"}}, as_=ADMIN)
    assert (await shown_token(cloud, token)).status == 404
    if how != "new password of trustor":
        assert (await by_trust(cloud, bob, made)).status in (401, 403)


async def test_uses_run_out(cloud: ServiceUnderTest) -> None:
    ann, bob = await somebody(cloud, "ann"), await somebody(cloud, "bob")
    made = await trust(cloud, ann, bob, remaining_uses=2)
    assert (await by_trust(cloud, ann, made)).status == 403  # takes no use away
    for left in (1, 0):
        assert (await by_trust(cloud, bob, made)).status == 201
        shown = await cloud.get(f"{TRUSTS}/{made['id']}", as_=ann.context)
        assert shown.status == (200 if left else 404)
        if left:
            assert shown.json()["trust"]["remaining_uses"] == left
    assert (await by_trust(cloud, bob, made)).status == 401


async def test_a_trust_is_handed_on_as_far_as_it_may(cloud: ServiceUnderTest) -> None:
    ann, bob, cid = [await somebody(cloud, name) for name in ("ann", "bob", "cid")]
    first = await trust(cloud, ann, bob, allow_redelegation=True, redelegation_count=1)
    assert first["redelegation_count"] == 1
    as_bob = await cloud.runtime.state.context((await by_trust(cloud, bob, first)).headers["x-subject-token"])
    assert (await ask(cloud, ann, cid, as_bob, roles=[{"name": "reader"}, {"name": "member"}])).status == 403
    assert (await ask(cloud, ann, cid, as_bob, remaining_uses=1)).status == 403
    assert (await ask(cloud, ann, cid, as_bob, allow_redelegation=True, redelegation_count=3)).status == 403
    second = await trust(cloud, ann, cid, as_bob, allow_redelegation=True)
    assert (second["redelegated_trust_id"], second["redelegation_count"]) == (first["id"], 0)
    reply = await by_trust(cloud, cid, second)
    assert reply.json()["token"]["user"]["id"] == ann.id
    as_cid = await cloud.runtime.state.context(reply.headers["x-subject-token"])
    assert (await ask(cloud, ann, bob, as_cid)).status == 403
    await cloud.patch(bob.path, {"user": {"enabled": False}}, as_=ADMIN)
    assert (await by_trust(cloud, cid, second)).status == 403
    await cloud.patch(bob.path, {"user": {"enabled": True}}, as_=ADMIN)
    assert (await by_trust(cloud, cid, second)).status == 201
    assert (await cloud.delete(f"{TRUSTS}/{first['id']}", as_=ann.context)).status == 204
    assert (await cloud.get(f"{TRUSTS}/{second['id']}", as_=ADMIN)).status == 404


async def test_one_without_impersonation_is_not_handed_on_with_it(cloud: ServiceUnderTest) -> None:
    ann, bob, cid = [await somebody(cloud, name) for name in ("ann", "bob", "cid")]
    first = await trust(cloud, ann, bob, allow_redelegation=True, impersonation=False)
    assert first["redelegation_count"] == 3
    as_bob = await cloud.runtime.state.context((await by_trust(cloud, bob, first)).headers["x-subject-token"])
    values = {"trustor_user_id": bob.id, "allow_redelegation": False}
    assert (await ask(cloud, ann, cid, as_bob, **values, impersonation=True)).status == 403
    second = await trust(cloud, ann, cid, as_bob, **values, impersonation=False)
    assert (await by_trust(cloud, cid, second)).json()["token"]["user"]["id"] == cid.id


async def test_bad_ones(cloud: ServiceUnderTest) -> None:
    ann, bob = await somebody(cloud, "ann"), await somebody(cloud, "bob")

    async def status(**values: Any) -> int:
        reply = await ask(cloud, ann, bob, **values)
        return int(reply.status)

    assert await status(trustee_user_id="0" * 32) == 404
    assert await status(trustor_user_id=bob.id) == 403
    assert await status(roles=[]) == 403
    assert await status(roles=[{"name": "admin"}]) == 404
    assert await status(roles=[{"name": "nosuch"}]) == 404
    assert await status(roles=[{}]) == 400
    assert await status(expires_at="2001-01-01T00:00:00Z") == 400
    assert await status(expires_at="tomorrow") == 400
    assert await status(remaining_uses=0) == 400
    assert await status(remaining_uses=2, allow_redelegation=True) == 400
    assert await status(allow_redelegation=True, redelegation_count=9) == 403
    assert await status(project_id="0" * 32) == 404
    assert await status(impersonation="yes") == 400
    assert await status(as_=persona("system", "admin", user_id=ann.id)) == 403
    scope = {"OS-TRUST:trust": {"id": "0" * 32}}
    nowhere = await authenticated(cloud, scope, password={"user": {"id": bob.id, "password": "bob-password"}})
    assert nowhere.status == 401
    both = {**scope, "project": {"id": ann.project["id"]}}
    assert (await authenticated(cloud, both, token={"id": bob.token})).status == 400


async def test_who_sees_it(cloud: ServiceUnderTest) -> None:
    ann, bob, eve = [await somebody(cloud, name) for name in ("ann", "bob", "eve")]
    made = await trust(cloud, ann, bob)
    member, reader = await role_id(cloud, "member"), await role_id(cloud, "reader")
    one = f"{TRUSTS}/{made['id']}"
    for path in (one, f"{one}/roles", f"{one}/roles/{member}", f"{one}/roles/{reader}"):
        for who, status in (
            (ann.context, 200),
            (bob.context, 200),
            (persona("system", "reader"), 200),
            (eve.context, 403),
        ):
            assert (await cloud.get(path, as_=who)).status == status, path
    assert (await cloud.get(f"{one}/roles/{await role_id(cloud, 'admin')}", as_=ann.context)).status == 404
    assert (await cloud.get(f"{TRUSTS}/nothing", as_=eve.context)).status == 404
    assert (await cloud.get(TRUSTS, as_=ann.context)).status == 403
    for query, who, found in (
        ("", ADMIN, True),
        (f"?trustor_user_id={ann.id}", ann.context, True),
        (f"?trustee_user_id={bob.id}", bob.context, True),
        (f"?trustee_user_id={eve.id}", eve.context, False),
    ):
        reply = await cloud.get(TRUSTS + query, as_=who)
        assert [each["id"] for each in reply.json()["trusts"]] == ([made["id"]] if found else [])
        assert not any("roles" in each for each in reply.json()["trusts"])
    assert (await cloud.get(f"{TRUSTS}?trustor_user_id={ann.id}", as_=eve.context)).status == 403
