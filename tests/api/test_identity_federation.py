"""OS-FEDERATION: who comes in by what is trusted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pileus.services.identity.federation.oidc import OidcSettings
from pileus.services.identity.settings import Settings
from pileus.testing.identity import V3, make, role_id, serving_identity
from pileus.testing.issuer import Issuer, issuer, new_key
from pileus.testing.service import ADMIN, ServiceUnderTest
from tests.identity_guests import AUTH, OS, come, rescoped, trust


@pytest.fixture
def acme() -> Iterator[Issuer]:
    with issuer() as running:
        yield running


@pytest.fixture
async def cloud(tmp_path: Path, acme: Issuer) -> AsyncIterator[ServiceUnderTest]:
    settings = Settings(
        oidc={"acme": OidcSettings(issuer=acme.url, client_id="pileus", client_secret="hush")}
    )
    async with serving_identity(tmp_path, settings) as running:
        yield running


async def test_a_guest_gets_an_unscoped_token(cloud: ServiceUnderTest, acme: Issuer) -> None:
    await trust(cloud)
    reply = await come(cloud, acme.token(email="a@example.org"))
    assert reply.status == 201, reply.body
    token = reply.json()["token"]
    assert token["methods"] == ["openid"]
    assert token["user"]["name"] == "alice"
    assert token["user"]["OS-FEDERATION"] == {
        "groups": [],
        "identity_provider": {"id": "acme"},
        "protocol": {"id": "openid"},
    }
    assert "password_expires_at" not in token["user"]
    again = (await come(cloud, acme.token())).json()["token"]["user"]["id"]
    assert again == token["user"]["id"]
    shown = (await cloud.get(f"{V3}/users/{again}", as_=ADMIN)).json()["user"]
    assert shown["federated"] == [
        {"idp_id": "acme", "protocols": [{"protocol_id": "openid", "unique_id": "alice"}]}
    ]


async def test_guests_come_by_the_method_mapped_too(cloud: ServiceUnderTest, acme: Issuer) -> None:
    await trust(cloud)
    part = {"identity_provider": "acme", "protocol": "openid"}
    body = {"auth": {"identity": {"methods": ["mapped"], "mapped": part}}}
    headers = {"authorization": f"Bearer {acme.token()}"}
    first = await cloud.post(f"{V3}/auth/tokens", body, headers=headers)
    assert first.status == 201
    body = {"auth": {"identity": {"methods": ["saml2"], "saml2": {"id": first.headers["x-subject-token"]}}}}
    second = await cloud.post(f"{V3}/auth/tokens", body)
    assert second.status == 201
    assert second.json()["token"]["user"] == first.json()["token"]["user"]


@pytest.mark.parametrize(
    "bad",
    [
        {"aud": "another-client"},
        {"iss": "https://evil.example.org"},
        {"lifetime": -3600},
        {"key": new_key()},
        {"sub": None},
    ],
    ids=["audience", "issuer", "expired", "key", "subject"],
)
async def test_tokens_that_are_not_for_us_are_refused(
    cloud: ServiceUnderTest, acme: Issuer, bad: dict[str, Any]
) -> None:
    await trust(cloud)
    reply = await come(cloud, acme.token(**bad))
    assert reply.status == 401
    assert "evil" not in reply.body.decode()


async def test_a_token_without_a_signature_is_refused(cloud: ServiceUnderTest, acme: Issuer) -> None:
    await trust(cloud)
    _, payload, _ = acme.token().split(".")
    assert (await come(cloud, f"eyJhbGciOiJub25lIn0.{payload}.")).status == 401
    assert (await come(cloud, "not a token")).status == 401
    assert (await cloud.post(AUTH)).status == 401


async def test_keys_that_change_are_fetched_again_but_not_for_everybody(
    cloud: ServiceUnderTest, acme: Issuer
) -> None:
    await trust(cloud)
    assert (await come(cloud, acme.token())).status == 201
    acme.keys.append(new_key())
    cloud.runtime.clock.by += timedelta(seconds=20)  # type: ignore[attr-defined] - the tests' clock
    assert (await come(cloud, acme.token())).status == 201
    assert acme.asked.count("/jwks") == 2
    for _ in range(5):
        assert (await come(cloud, acme.token(key=new_key()))).status == 401
    assert acme.asked.count("/jwks") == 2


async def test_opaque_tokens_are_asked_for(cloud: ServiceUnderTest, acme: Issuer) -> None:
    await trust(
        cloud, rules=[{"remote": [{"type": "HTTP_OIDC_EMAIL"}], "local": [{"user": {"name": "{0}"}}]}]
    )
    acme.active["good"] = {"active": True, "sub": "alice", "client_id": "pileus", "scope": "openid email"}
    acme.active["other"] = {**acme.active["good"], "client_id": "somebody-else"}
    acme.active["mixed"] = acme.active["good"]
    acme.userinfo["good"] = {"sub": "alice", "email": "alice@example.org"}
    acme.userinfo["mixed"] = {"sub": "bob", "email": "bob@example.org"}
    reply = await come(cloud, "good")
    assert reply.json()["token"]["user"]["name"] == "alice@example.org"
    for token in ("other", "mixed", "unknown"):
        assert (await come(cloud, token)).status == 401


async def test_only_what_is_trusted_and_enabled_counts(cloud: ServiceUnderTest, acme: Issuer) -> None:
    assert (await come(cloud, acme.token())).status == 404
    await trust(cloud, enabled=False)
    assert (await come(cloud, acme.token())).status == 403
    on = {"identity_provider": {"enabled": True, "remote_ids": ["https://another"]}}
    await cloud.patch(f"{OS}/identity_providers/acme", on, as_=ADMIN)
    assert (await come(cloud, acme.token())).status == 403
    mine = {"identity_provider": {"remote_ids": [acme.url]}}
    await cloud.patch(f"{OS}/identity_providers/acme", mine, as_=ADMIN)
    token = (await come(cloud, acme.token())).headers["x-subject-token"]
    context = await cloud.runtime.state.context(token)
    assert context.user_name == "alice"
    off = {"identity_provider": {"enabled": False}}
    await cloud.patch(f"{OS}/identity_providers/acme", off, as_=ADMIN)
    shown = await cloud.get(f"{V3}/auth/tokens", headers={"x-subject-token": token}, as_=ADMIN)
    assert shown.status == 404


async def test_groups_give_roles_and_the_token_says_which(cloud: ServiceUnderTest, acme: Issuer) -> None:
    ops = await make(cloud, "group", name="ops")
    project = await make(cloud, "project", name="p")
    reader = await role_id(cloud, "reader")
    await cloud.put(f"{V3}/projects/{project['id']}/groups/{ops['id']}/roles/{reader}", as_=ADMIN)
    local = [{"user": {"name": "{0}"}}, {"groups": "{1}", "domain": {"id": "default"}}]
    remote = [{"type": "sub"}, {"type": "groups"}]
    await trust(cloud, rules=[{"remote": remote, "local": local}])
    reply = await come(cloud, acme.token(groups=["ops", "no-such-group"]))
    assert reply.json()["token"]["user"]["OS-FEDERATION"]["groups"] == [{"id": ops["id"]}]
    token = reply.headers["x-subject-token"]
    context = await cloud.runtime.state.context(token)
    (offered,) = (await cloud.get(f"{OS}/projects", as_=context)).json()["projects"]
    assert offered["id"] == project["id"]
    scoped = await rescoped(cloud, token, project={"id": project["id"]})
    assert [each["name"] for each in scoped.json()["token"]["roles"]] == ["reader"]
    assert scoped.json()["token"]["user"]["OS-FEDERATION"]["groups"] == [{"id": ops["id"]}]
    groups = (await cloud.get(f"{V3}/users/{context.user_id}/groups", as_=ADMIN)).json()["groups"]
    assert groups == []  # no authorization_ttl: for the token's life alone


async def test_memberships_last_as_long_as_the_provider_says(cloud: ServiceUnderTest, acme: Issuer) -> None:
    ops = await make(cloud, "group", name="ops")
    reader = await role_id(cloud, "reader")
    await cloud.put(f"{V3}/system/groups/{ops['id']}/roles/{reader}", as_=ADMIN)
    local = [{"user": {"name": "{0}"}}, {"group_ids": "{1}"}]
    remote = [{"type": "sub"}, {"type": "groups"}]
    await trust(cloud, rules=[{"remote": remote, "local": local}], authorization_ttl=10)
    reply = await come(cloud, acme.token(groups=[ops["id"]]))
    user_id = reply.json()["token"]["user"]["id"]
    (group,) = (await cloud.get(f"{V3}/users/{user_id}/groups", as_=ADMIN)).json()["groups"]
    assert group["id"] == ops["id"]
    assert group["membership_expires_at"]
    from pileus.services.identity.store import role

    assert await cloud.runtime.db.read(role.effective, user_id, "system", None)
    cloud.runtime.clock.by += timedelta(minutes=11)  # type: ignore[attr-defined] - the tests' clock
    assert not await cloud.runtime.db.read(role.effective, user_id, "system", None)
    assert (await cloud.get(f"{V3}/users/{user_id}/groups", as_=ADMIN)).json()["groups"] == []


async def test_groups_that_are_no_longer_named_void_older_tokens(
    cloud: ServiceUnderTest, acme: Issuer
) -> None:
    ops = await make(cloud, "group", name="ops")
    dev = await make(cloud, "group", name="dev")
    remote = [{"type": "sub"}, {"type": "groups"}]
    local = [{"user": {"name": "{0}"}}, {"group_ids": "{1}"}]
    await trust(cloud, rules=[{"remote": remote, "local": local}], authorization_ttl=10)
    old = (await come(cloud, acme.token(groups=[ops["id"]]))).headers["x-subject-token"]
    new = (await come(cloud, acme.token(groups=[dev["id"]]))).headers["x-subject-token"]
    statuses = [
        (await cloud.get(f"{V3}/auth/tokens", headers={"x-subject-token": each}, as_=ADMIN)).status
        for each in (old, new)
    ]
    assert statuses == [404, 200]


@pytest.mark.parametrize(("version", "kept"), [("2.0", {"one", "two"}), ("3.0", {"two"})])
async def test_projects_are_made_and_roles_given(
    cloud: ServiceUnderTest, acme: Issuer, version: str, kept: set[str]
) -> None:
    projects = [{"name": "{1}", "roles": [{"name": "member"}]}]
    remote = [{"type": "sub"}, {"type": "team"}]
    local = [{"user": {"name": "{0}"}}, {"projects": projects}]
    await trust(cloud, rules=[{"remote": remote, "local": local}], version=version)
    for team in ("one", "two"):
        reply = await come(cloud, acme.token(team=team))
        assert reply.status == 201, reply.body
    context = await cloud.runtime.state.context(reply.headers["x-subject-token"])
    found = (await cloud.get(f"{V3}/auth/projects", as_=context)).json()["projects"]
    assert {each["name"] for each in found} == kept
    provider = (await cloud.get(f"{OS}/identity_providers/acme", as_=ADMIN)).json()["identity_provider"]
    assert {each["domain_id"] for each in found} == {provider["domain_id"]}


async def test_a_role_that_is_not_there_lets_nothing_be_made(cloud: ServiceUnderTest, acme: Issuer) -> None:
    projects = [{"name": "p", "roles": [{"name": "no-such-role"}]}]
    local = [{"user": {"name": "{0}"}}, {"projects": projects}]
    await trust(cloud, rules=[{"remote": [{"type": "sub"}], "local": local}])
    assert (await come(cloud, acme.token())).status == 401
    assert (await cloud.get(f"{V3}/users?idp_id=acme", as_=ADMIN)).json()["users"] == []


async def test_a_local_user_comes_in_as_itself(cloud: ServiceUnderTest, acme: Issuer) -> None:
    alice = await make(cloud, "user", name="alice")
    local = [{"user": {"name": "{0}", "domain": {"id": "default"}, "type": "local"}}]
    await trust(cloud, rules=[{"remote": [{"type": "sub"}], "local": local}])
    token = (await come(cloud, acme.token())).json()["token"]
    assert token["user"]["id"] == alice["id"]
    assert "OS-FEDERATION" not in token["user"]
    assert (await come(cloud, acme.token(sub="bob"))).status == 401


async def test_guests_may_share_a_name_and_are_never_mistaken(cloud: ServiceUnderTest, acme: Issuer) -> None:
    await make(cloud, "user", name="Ada", password="secret")
    local = [{"user": {"id": "{0}", "name": "{1}", "domain": {"id": "default"}}}]
    await trust(cloud, rules=[{"remote": [{"type": "sub"}, {"type": "name"}], "local": local}])
    ids = set()
    for sub in ("1", "2"):
        token = (await come(cloud, acme.token(sub=sub, name="Ada"))).json()["token"]
        assert token["user"]["name"] == "Ada"
        ids.add(token["user"]["id"])
    assert len(ids) == 2
    from pileus.testing.identity import token_for

    by_password = (await token_for(cloud, "Ada", "secret")).json()["token"]["user"]["id"]
    assert by_password not in ids
    renamed = (await come(cloud, acme.token(sub="1", name="Ada B."))).json()["token"]["user"]
    assert renamed["id"] in ids
    assert renamed["name"] == "Ada B."


async def test_another_provider_of_the_same_domain_can_be_nobody_elses_guest(
    cloud: ServiceUnderTest, acme: Issuer
) -> None:
    await trust(cloud, domain_id="default")
    first = (await come(cloud, acme.token())).json()["token"]["user"]["id"]
    body = {"identity_provider": {"enabled": True, "domain_id": "default"}}
    await cloud.put(f"{OS}/identity_providers/other", body, as_=ADMIN)
    await cloud.put(
        f"{OS}/identity_providers/other/protocols/openid", {"protocol": {"mapping_id": "rules"}}, as_=ADMIN
    )
    cloud.runtime.state.oidc["other"] = cloud.runtime.state.oidc["acme"]
    path = f"{OS}/identity_providers/other/protocols/openid/auth"
    assert (await come(cloud, acme.token(), path)).json()["token"]["user"]["id"] != first


async def test_deleting_a_provider_takes_its_guests_along(cloud: ServiceUnderTest, acme: Issuer) -> None:
    await trust(cloud)
    reply = await come(cloud, acme.token())
    user_id = reply.json()["token"]["user"]["id"]
    assert (await cloud.delete(f"{OS}/identity_providers/acme", as_=ADMIN)).status == 204
    assert (await cloud.get(f"{V3}/users/{user_id}", as_=ADMIN)).status == 404
    shown = await cloud.get(
        f"{V3}/auth/tokens", headers={"x-subject-token": reply.headers["x-subject-token"]}, as_=ADMIN
    )
    assert shown.status == 404


async def test_users_can_be_joined_to_a_provider(cloud: ServiceUnderTest, acme: Issuer) -> None:
    await trust(cloud)
    known = [{"idp_id": "acme", "protocols": [{"protocol_id": "openid", "unique_id": "alice"}]}]
    alice = await make(cloud, "user", name="Alice L.", federated=known)
    assert alice["federated"] == known
    token = (await come(cloud, acme.token())).json()["token"]
    assert (token["user"]["id"], token["user"]["name"]) == (alice["id"], "Alice L.")
    await make(cloud, "user", name="Bob")
    query = "idp_id=acme&protocol_id=openid&unique_id=alice"
    listed = (await cloud.get(f"{V3}/users?{query}", as_=ADMIN)).json()["users"]
    assert [each["id"] for each in listed] == [alice["id"]]
    assert (await cloud.get(f"{V3}/users?unique_id=bob", as_=ADMIN)).json()["users"] == []
    wrong = [{"idp_id": "acme", "protocols": [{"protocol_id": "none", "unique_id": "x"}]}]
    body = {"user": {"name": "c", "federated": wrong}}
    assert (await cloud.post(f"{V3}/users", body, as_=ADMIN)).status == 400


async def test_names_that_no_database_keeps_are_nobodys(cloud: ServiceUnderTest, acme: Issuer) -> None:
    await trust(cloud)
    assert (await come(cloud, acme.token(sub="a\0b"))).status == 401
    assert (await come(cloud, acme.token(sub="x" * 300))).status == 401
    assert (await come(cloud, acme.token(sub=""))).status == 401
