"""What tokens say: claims that grow with time, and groups that only a token puts a user in."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from pileus.kernel.api.auth import Revision, TokenCache
from pileus.kernel.db import Tx, open_database
from pileus.kernel.errors import Unauthorized
from pileus.services.identity.jws import JwsKeys, JwsTokens
from pileus.services.identity.keys import KeyFolder
from pileus.services.identity.state import IdentityState
from pileus.services.identity.store import role
from pileus.services.identity.tokens import Claims, Federated, FernetTokens
from pileus.testing.identity import ADMIN_PROJECT, V3, authenticated, make, serving_identity, token_for
from pileus.testing.personas import persona
from pileus.testing.service import ADMIN, ServiceUnderTest


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with serving_identity(tmp_path) as running:
        yield running


def test_tokens_of_an_older_release_stay_good(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path / "keys")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    old = keys.encrypt(msgspec.msgpack.encode(("u", ("password",), "project", "p", now, now, ("a",))))
    claims = FernetTokens(keys).unseal(old.decode())
    assert claims is not None
    assert (claims.user_id, claims.scope_id, claims.trust_id) == ("u", "p", None)


def _give_group_on_system(tx: Tx, group_id: str, role_name: str) -> None:
    reader = role.by_name(tx, role_name)
    assert reader is not None
    actor = {"actor_kind": "group", "actor_id": group_id}
    role.give(
        tx,
        {**actor, "target_kind": "system", "target_id": "system", "role_id": reader.id, "inherited": False},
    )


async def test_groups_of_a_federated_token_give_their_roles(cloud: ServiceUnderTest) -> None:
    group = await make(cloud, "group", name="staff")
    await cloud.runtime.db.write(_give_group_on_system, group["id"], "reader")
    guest = await make(cloud, "user", name="guest")
    acme = {"identity_provider": {"enabled": True}}
    await cloud.put(f"{V3}/OS-FEDERATION/identity_providers/acme", acme, as_=ADMIN)
    now = cloud.runtime.clock.now()
    claims = Claims(
        user_id=guest["id"],
        methods=("mapped",),
        scope="system",
        scope_id=None,
        issued_at=now,
        expires_at=now + timedelta(hours=1),
        audit_ids=("a",),
        federated=Federated("acme", "openid", (group["id"],)),
    )
    state = cloud.runtime.state
    token = state.tokens.seal(claims)
    shown = await cloud.get(f"{V3}/auth/tokens", headers={"x-subject-token": token}, as_=ADMIN)
    body = shown.json()["token"]
    assert [each["name"] for each in body["roles"]] == ["reader"]
    assert body["user"]["OS-FEDERATION"]["groups"] == [{"id": group["id"]}]
    context = await state.context(token)
    assert (await cloud.get(f"{V3}/auth/system", as_=context)).json()["system"] == [{"all": True}]


async def test_what_a_token_is_not_exchanged_for(cloud: ServiceUnderTest) -> None:
    token = (await token_for(cloud, system={"all": True})).headers["x-subject-token"]
    assert (await authenticated(cloud, ADMIN_PROJECT, token={"id": token})).status == 403
    assert (await authenticated(cloud, {"domain": {"id": "default"}}, token={"id": token})).status == 403
    assert (await authenticated(cloud, {"system": {"all": True}}, token={"id": token})).status == 201
    assert (await authenticated(cloud, "unscoped", token={"id": "none of ours"})).status == 404


async def test_a_revocation_bites_in_every_process(cloud: ServiceUnderTest, tmp_path: Path) -> None:
    here = cloud.runtime
    db = open_database(here.db.url, here.clock)
    try:
        revision = Revision(db.signal("tokens"))
        keys = KeyFolder(tmp_path / "keys")
        there = IdentityState(db, keys, here.clock, revision, here.state.settings, here.state.credential_keys)
        other_process = TokenCache(there.context, revision, here.clock)
        token = (await token_for(cloud, **ADMIN_PROJECT)).headers["x-subject-token"]
        for _ in range(2):
            assert (await other_process(token)).project_name == "admin"
        revoked = await cloud.delete(f"{V3}/auth/tokens", headers={"x-subject-token": token}, as_=ADMIN)
        assert revoked.status == 204
        async with asyncio.timeout(30):
            while True:
                try:
                    await other_process(token)
                except Unauthorized:
                    break
                assert db.dialect == "postgresql"  # on SQLite there is no moment between
                await asyncio.sleep(0.001)
    finally:
        await db.close()


CLAIMS = Claims(
    user_id="u",
    methods=("password", "token"),
    scope="project",
    scope_id="p",
    issued_at=datetime(2026, 1, 1, 12, 0, 0, 250000, tzinfo=UTC),
    expires_at=datetime(2026, 1, 1, 13, 0, 0, 250000, tzinfo=UTC),
    audit_ids=("a", "b"),
)


@pytest.mark.parametrize(
    "claims",
    [
        CLAIMS,
        structs.replace(CLAIMS, scope="domain", scope_id="d"),
        structs.replace(CLAIMS, scope="system", scope_id=None),
        structs.replace(
            CLAIMS, scope="unscoped", scope_id=None, federated=Federated("idp", "openid", ("g",))
        ),
        structs.replace(CLAIMS, trust_id="t"),
        structs.replace(CLAIMS, application_credential_id="c"),
        structs.replace(CLAIMS, access_token_id="x"),
    ],
)
def test_signed_tokens_say_what_they_were_told(tmp_path: Path, claims: Claims) -> None:
    tokens = JwsTokens(JwsKeys(tmp_path))
    assert tokens.unseal(tokens.seal(claims)) == claims


def test_signed_tokens_are_believed_by_their_key_alone(tmp_path: Path) -> None:
    mine, other = JwsTokens(JwsKeys(tmp_path / "a")), JwsTokens(JwsKeys(tmp_path / "b"))
    token = mine.seal(CLAIMS)
    head, body, signature = token.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    for forged in (
        other.seal(CLAIMS),
        f"{unsigned}.{body}.",
        f"{head}.{body[:-4]}AAAA.{signature}",
        "a.b.c",
        "..",
        "é..",
    ):
        assert mine.unseal(forged) is None
    old_keys = list(mine.keys.public.iterdir())
    mine.keys.rotate()
    assert mine.unseal(token) == CLAIMS
    assert mine.unseal(mine.seal(CLAIMS)) == CLAIMS
    for path in old_keys:
        path.unlink()
    assert mine.unseal(token) is None
    assert (mine.keys.private / "private.pem").stat().st_mode & 0o777 == 0o600


async def test_a_cloud_with_signed_tokens(cloud: ServiceUnderTest, tmp_path: Path) -> None:
    cloud.runtime.state.tokens = JwsTokens(JwsKeys(tmp_path / "jws"))
    token = (await token_for(cloud, **ADMIN_PROJECT)).headers["x-subject-token"]
    assert token.count(".") == 2
    shown = await cloud.get(f"{V3}/auth/tokens", headers={"x-subject-token": token}, as_=ADMIN)
    assert shown.json()["token"]["project"]["name"] == "admin"
    assert (await cloud.get(f"{V3}/auth/projects", token=token)).status == 200
    await cloud.delete(f"{V3}/auth/tokens", headers={"x-subject-token": token}, as_=ADMIN)
    assert (await cloud.get(f"{V3}/auth/projects", token=token)).status == 401


async def test_revocation_events(cloud: ServiceUnderTest) -> None:
    events = f"{V3}/OS-REVOKE/events"
    token = await token_for(cloud, **ADMIN_PROJECT)
    await cloud.delete(
        f"{V3}/auth/tokens", headers={"x-subject-token": token.headers["x-subject-token"]}, as_=ADMIN
    )
    bob = await make(cloud, "user", name="bob")
    await cloud.patch(f"{V3}/users/{bob['id']}", {"user": {"enabled": False}}, as_=ADMIN)
    first, second = (await cloud.get(events, as_=ADMIN)).json()["events"]
    assert first["audit_id"] == token.json()["token"]["audit_ids"][0]
    assert second["user_id"] == bob["id"]
    assert "project_id" not in second
    later = await cloud.get(events, query={"since": second["revoked_at"]}, as_=ADMIN)
    assert later.json()["events"] == [second]
    assert (await cloud.get(f"{events}?since=lately", as_=ADMIN)).status == 400
    assert (await cloud.get(events, as_=persona("project", "member"))).status == 403
