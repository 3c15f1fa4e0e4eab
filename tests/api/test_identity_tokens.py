"""What tokens say: claims that grow with time, and groups that only a token puts a user in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from pileus.kernel.api.auth import Revision, TokenCache
from pileus.kernel.db import Tx, open_database
from pileus.kernel.errors import Unauthorized
from pileus.services.identity.keys import KeyFolder
from pileus.services.identity.state import IdentityState
from pileus.services.identity.store import role
from pileus.services.identity.tokens import Claims, Federated, seal, unseal
from pileus.testing.identity import ADMIN_PROJECT, V3, authenticated, make, serving_identity, token_for
from pileus.testing.service import ADMIN, ServiceUnderTest


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with serving_identity(tmp_path) as running:
        yield running


def test_tokens_of_an_older_release_stay_good(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path / "keys")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    old = keys.encrypt(msgspec.msgpack.encode(("u", ("password",), "project", "p", now, now, ("a",))))
    claims = unseal(keys, old.decode())
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
    token = seal(state.keys, claims)
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
        async with asyncio.timeout(2 if db.dialect == "postgresql" else 0.2):
            while True:
                try:
                    await other_process(token)
                except Unauthorized:
                    break
                assert db.dialect == "postgresql"  # on SQLite there is no moment between
                await asyncio.sleep(0.001)
    finally:
        await db.close()
