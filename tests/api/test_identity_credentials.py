"""Credentials, EC2 keys and the tokens they get, TOTP, and users who need several methods."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from keystoneclient.contrib.ec2.utils import Ec2Signer  # type: ignore[import-untyped]  # what clients sign with
from sqlalchemy import select

from pileus.kernel.db import Tx
from pileus.services.identity.authenticate.totp import passcode_at
from pileus.services.identity.delegation_model import credentials
from pileus.testing.identity import (
    V3,
    Somebody,
    authenticated,
    by_password,
    serving_identity,
    shown_token,
    somebody,
)
from pileus.testing.personas import persona
from pileus.testing.service import ADMIN, ServiceUnderTest

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""RFC 6238's."""


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with serving_identity(tmp_path) as running:
        yield running


async def keep(cloud: ServiceUnderTest, who: Somebody, kind: str, blob: str, **more: Any) -> dict[str, Any]:
    body = {"user_id": who.id, "type": kind, "blob": blob, **more}
    reply = await cloud.post(f"{V3}/credentials", {"credential": body}, as_=who.context)
    assert reply.status == 201, reply.body
    made: dict[str, Any] = reply.json()["credential"]
    return made


async def keys(cloud: ServiceUnderTest, who: Somebody) -> dict[str, Any]:
    reply = await cloud.post(
        f"{who.path}/credentials/OS-EC2", {"tenant_id": who.project["id"]}, as_=who.context
    )
    assert reply.status == 201, reply.body
    made: dict[str, Any] = reply.json()["credential"]
    return made


def _blobs(tx: Tx) -> list[str]:
    return list(tx.scalars(select(credentials.c.encrypted_blob)))


async def test_a_credentials_life(cloud: ServiceUnderTest) -> None:
    bob, eve = await somebody(cloud, "bob"), await somebody(cloud, "eve")
    made = await keep(cloud, bob, "cert", "-----BEGIN", colour="red")
    assert (made["blob"], made["colour"], made["project_id"]) == ("-----BEGIN", "red", None)
    assert not any("BEGIN" in each for each in await cloud.runtime.db.read(_blobs))
    one = f"{V3}/credentials/{made['id']}"
    for as_, status in (
        (bob.context, 200),
        (eve.context, 403),
        (ADMIN, 200),
        (persona("system", "reader"), 200),
    ):
        assert (await cloud.get(one, as_=as_)).status == status
    assert (await cloud.get(f"{V3}/credentials/none", as_=eve.context)).status == 403
    assert (await cloud.get(f"{V3}/credentials/none", as_=ADMIN)).status == 404
    changed = await cloud.patch(one, {"credential": {"blob": "new"}}, as_=bob.context)
    assert changed.json()["credential"]["blob"] == "new"
    assert (await cloud.patch(one, {"credential": {"user_id": eve.id}}, as_=bob.context)).status == 400
    assert (await cloud.patch(one, {"credential": {"blob": "x", "type": "y"}}, as_=ADMIN)).status == 400
    for as_, count in ((bob.context, 1), (eve.context, 0), (ADMIN, 1)):
        listed = (await cloud.get(f"{V3}/credentials?type=cert", as_=as_)).json()["credentials"]
        assert len(listed) == count
    assert (await cloud.delete(one, as_=eve.context)).status == 403
    assert (await cloud.delete(one, as_=bob.context)).status == 204
    forged = {"credential": {"user_id": bob.id, "type": "cert", "blob": "x"}}
    assert (await cloud.post(f"{V3}/credentials", forged, as_=eve.context)).status == 403


async def test_who_goes_takes_its_credentials_along(cloud: ServiceUnderTest) -> None:
    bob = await somebody(cloud, "bob")
    await keep(cloud, bob, "cert", "x")
    await keys(cloud, bob)
    assert (await cloud.delete(f"{V3}/projects/{bob.project['id']}", as_=ADMIN)).status == 204
    assert len(await cloud.runtime.db.read(_blobs)) == 1
    assert (await cloud.delete(bob.path, as_=ADMIN)).status == 204
    assert await cloud.runtime.db.read(_blobs) == []


@pytest.mark.parametrize("blob", ["no json", "[]", "{}", '{"access": 7}', '{"access": ""}'])
async def test_ec2_credentials_have_an_access_key(cloud: ServiceUnderTest, blob: str) -> None:
    bob = await somebody(cloud, "bob")
    body = {"user_id": bob.id, "type": "ec2", "blob": blob, "project_id": bob.project["id"]}
    assert (await cloud.post(f"{V3}/credentials", {"credential": body}, as_=bob.context)).status == 400
    del body["project_id"]
    good = {**body, "blob": '{"access": "a"}'}
    assert (await cloud.post(f"{V3}/credentials", {"credential": good}, as_=bob.context)).status == 400


async def test_ec2_credentials_are_named_by_their_key_and_stay_within_their_limits(
    cloud: ServiceUnderTest,
) -> None:
    bob = await somebody(cloud, "bob")
    blob = json.dumps({"access": "key", "secret": "s"})
    made = await keep(cloud, bob, "ec2", blob, project_id=bob.project["id"])
    assert made["id"] == hashlib.sha256(b"key").hexdigest()
    body = {"user_id": bob.id, "type": "ec2", "blob": blob, "project_id": bob.project["id"]}
    assert (await cloud.post(f"{V3}/credentials", {"credential": body}, as_=bob.context)).status == 409
    wider = {"credential": {"blob": json.dumps({"access": "key", "secret": "s", "trust_id": "t"})}}
    assert (await cloud.patch(f"{V3}/credentials/{made['id']}", wider, as_=bob.context)).status == 400


async def test_ec2_keys(cloud: ServiceUnderTest) -> None:
    bob, eve = await somebody(cloud, "bob"), await somebody(cloud, "eve")
    made = await keys(cloud, bob)
    assert (made["user_id"], made["tenant_id"], made["trust_id"]) == (bob.id, bob.project["id"], None)
    path = f"{bob.path}/credentials/OS-EC2"
    assert (await cloud.get(f"{path}/{made['access']}", as_=bob.context)).json()["credential"] == made
    assert (await cloud.get(path, as_=bob.context)).json()["credentials"] == [made]
    assert (await cloud.get(path, as_=eve.context)).status == 403
    assert (await cloud.get(f"{path}/{made['access']}", as_=eve.context)).status == 403
    assert (await cloud.post(path, {"tenant_id": bob.project["id"]}, as_=eve.context)).status == 403
    assert (await cloud.post(path, {"tenant_id": "none"}, as_=bob.context)).status == 404
    assert (await cloud.delete(f"{path}/{made['access']}", as_=bob.context)).status == 204
    assert (await cloud.get(f"{path}/{made['access']}", as_=bob.context)).status == 404


def signed(made: dict[str, Any], version: str, **more: Any) -> dict[str, Any]:
    """A request as keystoneclient's signer signs it."""
    now = datetime.now(UTC)
    parts: dict[str, Any] = {
        "access": made["access"],
        "host": "ec2.example.org:8773",
        "verb": "GET",
        "path": "/services/Cloud",
        "params": {
            "SignatureVersion": version,
            "Action": "Describe it",
            "Timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "headers": {},
        "body_hash": "",
    }
    if version == "4":
        date = now.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{made['access']}/{date[:8]}/here/ec2/aws4_request"
        parts["params"] = {"Action": "Describe it", "n": "1"}
        parts["body_hash"] = hashlib.sha256(b"").hexdigest()
        parts["headers"] = {
            "Host": "ec2.example.org:8773",
            "X-Amz-Date": date,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope},SignedHeaders=host;x-amz-date,Signature=x",
        }
    if version == "2":
        parts["params"]["SignatureMethod"] = "HmacSHA256"
    parts.update(more)
    parts["signature"] = Ec2Signer(made["secret"]).generate(json.loads(json.dumps(parts)))
    return parts


SERVICE = persona("project", "admin")


@pytest.mark.parametrize("version", ["0", "1", "2", "4"])
async def test_signed_requests_get_a_token(cloud: ServiceUnderTest, version: str) -> None:
    bob = await somebody(cloud, "bob")
    made = await keys(cloud, bob)
    parts = signed(made, version)
    reply = await cloud.post(f"{V3}/ec2tokens", {"credentials": parts}, as_=SERVICE)
    assert reply.status == 200, reply.body
    token = reply.json()["token"]
    assert (token["user"]["id"], token["project"]["id"]) == (bob.id, bob.project["id"])
    assert token["methods"] == ["ec2credential"]
    assert (await shown_token(cloud, reply.headers["x-subject-token"])).json() == reply.json()
    assert (await cloud.post(f"{V3}/ec2tokens", {"credentials": parts}, as_=bob.context)).status == 403
    for wrong in ({"signature": parts["signature"].swapcase()}, {"signature": None}):
        refused = await cloud.post(f"{V3}/ec2tokens", {"ec2Credentials": {**parts, **wrong}}, as_=SERVICE)
        assert refused.status == 401
    tampered = {**parts, "params": {**parts["params"], "Action": "Destroy"}}
    assert (await cloud.post(f"{V3}/ec2tokens", {"credentials": tampered}, as_=SERVICE)).status == 401
    unknown = {**parts, "access": "nobody"}
    assert (await cloud.post(f"{V3}/ec2tokens", {"credentials": unknown}, as_=SERVICE)).status == 404
    as_ec2 = await cloud.runtime.state.context(reply.headers["x-subject-token"])
    assert (await cloud.get(f"{bob.path}/credentials/OS-EC2", as_=as_ec2)).status == 403
    cloud.runtime.clock.by = timedelta(minutes=16)  # type: ignore[attr-defined]
    assert (await cloud.post(f"{V3}/ec2tokens", {"credentials": parts}, as_=SERVICE)).status == 401


async def test_clients_that_sign_without_the_port(cloud: ServiceUnderTest) -> None:
    bob = await somebody(cloud, "bob")
    made = await keys(cloud, bob)
    parts = {**signed(made, "2", host="ec2.example.org"), "host": "ec2.example.org:8773"}
    assert (await cloud.post(f"{V3}/ec2tokens", {"credentials": parts}, as_=SERVICE)).status == 200


@pytest.mark.parametrize(
    "parts",
    [{}, {"params": {"SignatureVersion": "3"}}, {"params": {}}, {"params": {"SignatureVersion": "0"}}],
)
async def test_what_is_no_signed_request(cloud: ServiceUnderTest, parts: dict[str, Any]) -> None:
    bob = await somebody(cloud, "bob")
    made = await keys(cloud, bob)
    body = {"credentials": {"access": made["access"], "signature": "x", **parts}}
    assert (await cloud.post(f"{V3}/ec2tokens", body, as_=SERVICE)).status == 401
    assert (await cloud.post(f"{V3}/s3tokens", body, as_=SERVICE)).status == 401
    assert (await cloud.post(f"{V3}/ec2tokens", {}, as_=SERVICE)).status == 401


async def test_s3_requests(cloud: ServiceUnderTest) -> None:
    bob = await somebody(cloud, "bob")
    made = await keys(cloud, bob)
    text = b"GET\n\n\nWed, 21 Oct 2026 07:28:00 GMT\n/bucket/object"
    old = base64.b64encode(hmac.new(made["secret"].encode(), text, hashlib.sha1).digest()).decode()
    scope = "20261021/here/s3/aws4_request"
    new_text = f"AWS4-HMAC-SHA256\n20261021T072800Z\n{scope}\n{'0' * 64}".encode()
    key = b"AWS4" + made["secret"].encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    new = hmac.new(key, new_text, hashlib.sha256).hexdigest()
    for string, signature in ((text, old), (new_text, new)):
        parts = {
            "access": made["access"],
            "token": base64.urlsafe_b64encode(string).decode(),
            "signature": signature,
        }
        reply = await cloud.post(f"{V3}/s3tokens", {"credentials": parts}, as_=SERVICE)
        assert reply.status == 200, reply.body
        assert reply.json()["token"]["user"]["id"] == bob.id
        assert "x-subject-token" not in reply.headers
        refused = await cloud.post(
            f"{V3}/s3tokens", {"credentials": {**parts, "signature": "no"}}, as_=SERVICE
        )
        assert refused.status == 401


async def test_a_key_within_a_trust_that_is_none_of_its_users(cloud: ServiceUnderTest) -> None:
    ann, bob, eve = [await somebody(cloud, name) for name in ("ann", "bob", "eve")]
    body = {
        "trustor_user_id": ann.id,
        "trustee_user_id": bob.id,
        "project_id": ann.project["id"],
        "impersonation": True,
        "roles": [{"name": "member"}],
    }
    made = (await cloud.post(f"{V3}/OS-TRUST/trusts", {"trust": body}, as_=ann.context)).json()["trust"]
    for who, status in ((eve, 401), (bob, 200)):
        key = {"access": f"{who.id}-key", "secret": "s", "trust_id": made["id"]}
        await keep(cloud, who, "ec2", json.dumps(key), project_id=ann.project["id"])
        reply = await cloud.post(f"{V3}/ec2tokens", {"credentials": signed(key, "2")}, as_=SERVICE)
        assert reply.status == status, reply.body


def passcode(cloud: ServiceUnderTest, windows_ago: int = 0) -> str:
    found = passcode_at(SECRET, int(cloud.runtime.clock.now().timestamp()) // 30 - windows_ago)
    assert found is not None
    return found


def test_passcodes_are_rfc_6238s() -> None:
    assert passcode_at(SECRET, 59 // 30) == "287082"
    assert passcode_at(SECRET.lower(), 1111111109 // 30) == "081804"
    assert passcode_at("not base32!", 1) is None


async def test_passcodes_by_the_time_are_good_once(cloud: ServiceUnderTest) -> None:
    bob = await somebody(cloud, "bob")
    await keep(cloud, bob, "totp", SECRET)

    async def status(code: str, user_id: str = bob.id) -> int:
        reply = await authenticated(cloud, totp={"user": {"id": user_id, "passcode": code}})
        return reply.status

    code = passcode(cloud)
    assert await status(code) == 201
    assert await status(code) == 401
    assert await status("000000" if code != "000000" else "000001") == 401
    cloud.runtime.clock.by = timedelta(minutes=5)  # type: ignore[attr-defined]
    assert await status(passcode(cloud, 2)) == 401
    assert await status(passcode(cloud, 1)) == 201
    assert await status(passcode(cloud), "0" * 32) == 401


async def test_who_needs_two_methods_gets_a_receipt_for_the_first(cloud: ServiceUnderTest) -> None:
    bob = await somebody(cloud, "bob")
    await keep(cloud, bob, "totp", SECRET)
    options = {"multi_factor_auth_enabled": True, "multi_factor_auth_rules": [["password", "totp"]]}
    assert (await cloud.patch(bob.path, {"user": {"options": options}}, as_=ADMIN)).status == 200
    scope = {"project": {"id": bob.project["id"]}}
    first = await cloud.post(f"{V3}/auth/tokens", by_password("bob", "bob-password", **scope))
    assert first.status == 401
    receipt = first.headers["openstack-auth-receipt"]
    body = first.json()
    assert body["required_auth_methods"] == [["password", "totp"]]
    assert body["receipt"]["methods"] == ["password"]
    assert body["receipt"]["user"]["name"] == "bob"
    totp: dict[str, Any] = {"identity": {"methods": ["totp"]}, "scope": scope}

    async def second(sent: str, code: str) -> Any:
        totp["identity"]["totp"] = {"user": {"id": bob.id, "passcode": code}}
        headers = {"openstack-auth-receipt": sent}
        return await cloud.post(f"{V3}/auth/tokens", {"auth": totp}, headers=headers)

    assert (await second("forged", passcode(cloud))).status == 401
    reply = await second(receipt, passcode(cloud, 1))
    assert reply.status == 201, reply.body
    assert set(reply.json()["token"]["methods"]) == {"password", "totp"}
    rescoped = await authenticated(cloud, scope, token={"id": reply.headers["x-subject-token"]})
    assert rescoped.status == 201
    wrong = await cloud.post(f"{V3}/auth/tokens", by_password("bob", "wrong"))
    assert wrong.status == 401
    assert "openstack-auth-receipt" not in wrong.headers
    assert (await shown_token(cloud, receipt)).status == 404
    cloud.runtime.clock.by = timedelta(minutes=6)  # type: ignore[attr-defined]
    assert (await second(receipt, passcode(cloud))).status == 401
    both = await authenticated(
        cloud,
        scope,
        password={"user": {"id": bob.id, "password": "bob-password"}},
        totp={"user": {"id": bob.id, "passcode": passcode(cloud, 1)}},
    )
    assert both.status == 201


async def test_a_receipt_is_its_users(cloud: ServiceUnderTest) -> None:
    bob, eve = await somebody(cloud, "bob"), await somebody(cloud, "eve")
    await keep(cloud, bob, "totp", SECRET)
    options = {"multi_factor_auth_rules": [["password", "totp"]]}
    for each in (bob, eve):
        await cloud.patch(each.path, {"user": {"options": options}}, as_=ADMIN)
    first = await cloud.post(f"{V3}/auth/tokens", by_password("eve", "eve-password"))
    totp = {"identity": {"methods": ["totp"], "totp": {"user": {"id": bob.id, "passcode": passcode(cloud)}}}}
    headers = {"openstack-auth-receipt": first.headers["openstack-auth-receipt"]}
    stolen = await cloud.post(f"{V3}/auth/tokens", {"auth": totp}, headers=headers)
    assert stolen.status == 401
    assert "openstack-auth-receipt" not in stolen.headers


async def test_rules_that_bind_nobody(cloud: ServiceUnderTest) -> None:
    bob = await somebody(cloud, "bob")
    for options in (
        {"multi_factor_auth_enabled": False, "multi_factor_auth_rules": [["password", "totp"]]},
        {"multi_factor_auth_enabled": True, "multi_factor_auth_rules": [["retina"]]},
        {"multi_factor_auth_enabled": True, "multi_factor_auth_rules": [["password"], ["totp"]]},
    ):
        await cloud.patch(bob.path, {"user": {"options": options}}, as_=ADMIN)
        reply = await cloud.post(f"{V3}/auth/tokens", by_password("bob", "bob-password"))
        assert reply.status == 201
