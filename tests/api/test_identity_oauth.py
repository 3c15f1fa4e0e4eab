"""OAuth 1.0a with oauthlib's client, and OAuth 2.0 client credentials."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from oauthlib.oauth1 import Client

from pileus.kernel.api.application import scope_of
from pileus.kernel.context import Context
from pileus.testing.identity import V3, Somebody, make, role_id, serving_identity, shown_token, somebody
from pileus.testing.personas import persona
from pileus.testing.service import ADMIN, ServiceUnderTest

OAUTH = f"{V3}/OS-OAUTH1"
HOST = "cloud.example.org:8900"


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with serving_identity(tmp_path) as running:
        yield running


async def signed(cloud: ServiceUnderTest, path: str, client: Client, body: Any = None, **headers: str) -> Any:
    _, signature, _ = client.sign(f"http://{HOST}{path}", "POST")
    sent = {**signature, "host": HOST, **headers}
    return await cloud.post(path, body, headers=sent, as_=Context())


def said(reply: Any) -> dict[str, str]:
    assert reply.status == 201, reply.body
    assert reply.headers["content-type"] == "application/x-www-form-urlencoded"
    return dict(parse_qsl(reply.body.decode()))


async def administrator(cloud: ServiceUnderTest, name: str = "ann") -> Somebody:
    """Authorizing needs the role admin on a project, upstream's rule."""
    return await somebody(cloud, name, "admin")


async def consumer_of(cloud: ServiceUnderTest) -> dict[str, Any]:
    reply = await cloud.post(f"{OAUTH}/consumers", {"consumer": {"description": "c"}}, as_=ADMIN)
    assert reply.status == 201, reply.body
    made: dict[str, Any] = reply.json()["consumer"]
    return made


async def asked(cloud: ServiceUnderTest, consumer: dict[str, Any], project_id: str) -> dict[str, str]:
    client = Client(consumer["id"], consumer["secret"], callback_uri="oob")
    headers = {"requested-project-id": project_id}
    return said(await signed(cloud, f"{OAUTH}/request_token", client, **headers))


async def granted(
    cloud: ServiceUnderTest, consumer: dict[str, Any], ann: Somebody, role: str = "member"
) -> dict[str, str]:
    request = await asked(cloud, consumer, ann.project["id"])
    path = f"{OAUTH}/authorize/{request['oauth_token']}"
    answer = await cloud.put(path, {"roles": [{"name": role}]}, as_=ann.context)
    assert answer.status == 200, answer.body
    client = Client(
        consumer["id"],
        consumer["secret"],
        request["oauth_token"],
        request["oauth_token_secret"],
        verifier=answer.json()["token"]["oauth_verifier"],
    )
    return said(await signed(cloud, f"{OAUTH}/access_token", client))


def holder(consumer: dict[str, Any], access: dict[str, str]) -> Client:
    return Client(consumer["id"], consumer["secret"], access["oauth_token"], access["oauth_token_secret"])


OAUTH1: dict[str, Any] = {"auth": {"identity": {"methods": ["oauth1"], "oauth1": {}}}}


async def test_consumers(cloud: ServiceUnderTest) -> None:
    made = await consumer_of(cloud)
    one = f"{OAUTH}/consumers/{made['id']}"
    shown = (await cloud.get(one, as_=ADMIN)).json()["consumer"]
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert (
        shown in (await cloud.get(f"{OAUTH}/consumers", as_=persona("system", "reader"))).json()["consumers"]
    )
    changed = await cloud.patch(one, {"consumer": {"description": "d"}}, as_=ADMIN)
    assert changed.json()["consumer"]["description"] == "d"
    assert (await cloud.patch(one, {"consumer": {"secret": "mine"}}, as_=ADMIN)).status == 400
    assert (await cloud.get(one, as_=persona("project", "member"))).status == 403
    assert (await cloud.delete(one, as_=ADMIN)).status == 204
    assert (await cloud.get(one, as_=ADMIN)).status == 404


async def test_a_consumer_acts_with_the_roles_a_user_gave_it(cloud: ServiceUnderTest) -> None:
    ann, consumer = await administrator(cloud), await consumer_of(cloud)
    access = await granted(cloud, consumer, ann)
    reply = await signed(cloud, f"{V3}/auth/tokens", holder(consumer, access), OAUTH1)
    assert reply.status == 201, reply.body
    token = reply.json()["token"]
    assert token["user"]["id"] == ann.id
    assert {each["name"] for each in token["roles"]} == {"member", "reader"}
    assert token["OS-OAUTH1"] == {"access_token_id": access["oauth_token"], "consumer_id": consumer["id"]}
    assert token["methods"] == ["oauth1"]
    context = await cloud.runtime.state.context(reply.headers["x-subject-token"])
    mine = f"{ann.path}/OS-OAUTH1/access_tokens"
    assert context.is_delegated
    shown = (await cloud.get(f"{mine}/{access['oauth_token']}", as_=ann.context)).json()["access_token"]
    assert shown["expires_at"] == access["oauth_expires_at"]
    assert shown["project_id"] == ann.project["id"]
    assert shown["links"]["roles"].endswith("/roles")
    assert [each["id"] for each in (await cloud.get(mine, as_=ann.context)).json()["access_tokens"]] == [
        shown["id"]
    ]
    roles = (await cloud.get(f"{mine}/{shown['id']}/roles", as_=ann.context)).json()["roles"]
    assert [each["name"] for each in roles] == ["member"]
    member, admin = await role_id(cloud, "member"), await role_id(cloud, "admin")
    assert (await cloud.get(f"{mine}/{shown['id']}/roles/{member}", as_=ann.context)).status == 200
    assert (await cloud.get(f"{mine}/{shown['id']}/roles/{admin}", as_=ann.context)).status == 404
    assert (await cloud.delete(f"{mine}/{shown['id']}", as_=ann.context)).status == 204
    assert (await shown_token(cloud, reply.headers["x-subject-token"])).status == 404
    again = await signed(cloud, f"{V3}/auth/tokens", holder(consumer, access), OAUTH1)
    assert again.status == 401


async def test_a_consumers_end_is_its_tokens(cloud: ServiceUnderTest) -> None:
    ann, consumer = await administrator(cloud), await consumer_of(cloud)
    access = await granted(cloud, consumer, ann)
    reply = await signed(cloud, f"{V3}/auth/tokens", holder(consumer, access), OAUTH1)
    assert (await cloud.delete(f"{OAUTH}/consumers/{consumer['id']}", as_=ADMIN)).status == 204
    assert (await shown_token(cloud, reply.headers["x-subject-token"])).status == 404


async def test_signatures(cloud: ServiceUnderTest) -> None:
    ann, consumer = await administrator(cloud), await consumer_of(cloud)
    access = await granted(cloud, consumer, ann)
    path = f"{V3}/auth/tokens"
    wrong = Client(consumer["id"], "wrong", access["oauth_token"], access["oauth_token_secret"])
    assert (await signed(cloud, path, wrong, OAUTH1)).status == 401
    plain = Client(
        consumer["id"],
        consumer["secret"],
        access["oauth_token"],
        access["oauth_token_secret"],
        signature_method="PLAINTEXT",
    )
    assert (await signed(cloud, path, plain, OAUTH1)).status == 401
    old = Client(
        consumer["id"],
        consumer["secret"],
        access["oauth_token"],
        access["oauth_token_secret"],
        timestamp="1000000000",
    )
    assert (await signed(cloud, path, old, OAUTH1)).status == 401
    _, headers, _ = holder(consumer, access).sign(f"http://{HOST}{path}", "POST")
    sent = {**headers, "host": HOST}
    assert (await cloud.post(path, OAUTH1, headers=sent, as_=Context())).status == 201
    assert (await cloud.post(path, OAUTH1, headers=sent, as_=Context())).status == 401
    elsewhere = {**headers, "host": "other.example.org"}
    assert (await cloud.post(path, OAUTH1, headers=elsewhere, as_=Context())).status == 401
    assert (await cloud.post(path, OAUTH1, as_=Context())).status == 400
    for header in ("OAuth", "OAuth oauth_nonce=1", "Basic abc", 'OAuth oauth_consumer_key="c"'):
        status = (await cloud.post(path, OAUTH1, headers={"authorization": header}, as_=Context())).status
        assert status in (400, 401)


async def test_what_a_request_token_is_not_good_for(cloud: ServiceUnderTest) -> None:
    ann, consumer = await administrator(cloud), await consumer_of(cloud)
    client = Client(consumer["id"], consumer["secret"], callback_uri="oob")
    assert (await signed(cloud, f"{OAUTH}/request_token", client)).status == 400
    nowhere = {"requested-project-id": "none"}
    assert (await signed(cloud, f"{OAUTH}/request_token", client, **nowhere)).status == 404
    request = await asked(cloud, consumer, ann.project["id"])
    path = f"{OAUTH}/authorize/{request['oauth_token']}"

    async def exchange(verifier: str) -> int:
        secrets = (request["oauth_token"], request["oauth_token_secret"])
        asking = Client(consumer["id"], consumer["secret"], *secrets, verifier=verifier)
        return (await signed(cloud, f"{OAUTH}/access_token", asking)).status

    assert await exchange("guess") == 401
    assert (await cloud.put(path, {"roles": [{"name": "nosuch"}]}, as_=ann.context)).status == 404
    assert (await cloud.put(path, {"roles": []}, as_=ann.context)).status == 401
    other = await administrator(cloud, "eve")
    assert (await cloud.put(path, {"roles": [{"name": "member"}]}, as_=other.context)).status == 401
    good = await cloud.put(path, {"roles": [{"name": "member"}]}, as_=ann.context)
    assert await exchange("guess") == 401
    cloud.runtime.clock.by = timedelta(hours=9)  # type: ignore[attr-defined]
    assert await exchange(good.json()["token"]["oauth_verifier"]) == 401
    assert (await cloud.put(f"{OAUTH}/authorize/none", {"roles": []}, as_=ann.context)).status == 404


async def program(cloud: ServiceUnderTest, bob: Somebody) -> dict[str, Any]:
    body = {"application_credential": {"name": "ci"}}
    reply = await cloud.post(f"{bob.path}/application_credentials", body, as_=bob.context)
    made: dict[str, Any] = reply.json()["application_credential"]
    return made


class Form:
    """A form's bytes as they are."""

    def __init__(self, cloud: ServiceUnderTest) -> None:
        self.cloud = cloud

    async def post(self, body: bytes, authorization: str | None = None) -> tuple[int, dict[str, str], Any]:
        headers = [(b"content-type", b"application/x-www-form-urlencoded")]
        if authorization is not None:
            headers.append((b"authorization", authorization.encode()))
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.cloud.application(scope_of("POST", f"{V3}/OS-OAUTH2/token", headers, b""), receive, send)
        start, content = sent
        names = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], names, json.loads(content["body"])


async def test_client_credentials(cloud: ServiceUnderTest) -> None:
    bob = await somebody(cloud, "bob")
    made, form = await program(cloud, bob), Form(cloud)
    basic = "Basic " + base64.b64encode(f"{made['id']}:{made['secret']}".encode()).decode()
    status, headers, body = await form.post(b"grant_type=client_credentials", basic)
    assert status == 200
    assert headers["cache-control"] == "no-store"
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
    shown = (await shown_token(cloud, body["access_token"])).json()["token"]
    assert shown["application_credential"]["id"] == made["id"]
    bearer = {"authorization": f"Bearer {body['access_token']}"}
    assert (await cloud.get(f"{V3}/auth/projects", headers=bearer, token="")).status == 200
    in_form = f"grant_type=client_credentials&client_id={made['id']}&client_secret={made['secret']}"
    assert (await form.post(in_form.encode()))[0] == 200


@pytest.mark.parametrize(
    ("body", "authorization", "status", "error"),
    [
        (b"", None, 400, "invalid_request"),
        (b"\xff\xfe", None, 400, "invalid_request"),
        (b"grant_type=password", None, 400, "unsupported_grant_type"),
        (b"grant_type=client_credentials", None, 401, "invalid_client"),
        (b"grant_type=client_credentials", "Basic !!!", 401, "invalid_client"),
        (b"grant_type=client_credentials", "Basic bm9ib2R5Om5v", 401, "invalid_client"),
        (b"grant_type=client_credentials&client_id=%00&client_secret=x", None, 401, "invalid_client"),
    ],
)
async def test_clients_that_are_none(
    cloud: ServiceUnderTest, body: bytes, authorization: str | None, status: int, error: str
) -> None:
    found, headers, answer = await Form(cloud).post(body, authorization)
    assert (found, answer["error"]) == (status, error)
    assert ("www-authenticate" in headers) == (status == 401)
    await make(cloud, "user", name="unharmed")
