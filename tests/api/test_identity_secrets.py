"""Secrets are in no log, at any level, and in no database: a whole cloud runs, all kinds of them are used, then all is read."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from oauthlib.oauth1 import Client

from pileus.services.identity.authenticate.totp import passcode_at
from pileus.testing.cloud import Cloud, running_cloud, until

pytestmark = pytest.mark.slow
PASSWORD, NEW_PASSWORD, WRONG_PASSWORD = "Kt7-first-password", "Zw9-second-password", "Qx3-wrong-password"
TOTP_SECRET, BLOB = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "Vb5-kept-in-a-credential"


class Caller:
    """An administrator's client; what must not be told is gathered in `secrets`."""

    def __init__(self, cloud: Cloud) -> None:
        connection = cloud.connect()
        self.token = str(connection.auth_token)
        self.project_id = str(connection.current_project_id)
        self.user_id = str(connection.current_user_id)
        self.base = cloud.base_url
        self.http = httpx.Client(base_url=self.base + "/identity/v3", trust_env=False)
        password = (cloud.state / "admin-password").read_text().strip()
        self.secrets = {self.token, password, PASSWORD, NEW_PASSWORD, WRONG_PASSWORD, TOTP_SECRET, BLOB}

    def ask(self, method: str, path: str, body: Any = None, *expect: int, **headers: str) -> httpx.Response:
        sent = {"x-auth-token": self.token, **headers}
        reply = self.http.request(method, path, json=body, headers=sent)
        assert reply.status_code in expect, reply.text
        for name in ("x-subject-token", "openstack-auth-receipt"):
            if name in reply.headers:
                self.secrets.add(reply.headers[name])
        return reply

    def authenticate(self, expect: int, scope: Any = None, **methods: Any) -> httpx.Response:
        auth: dict[str, Any] = {"identity": {"methods": list(methods), **methods}}
        if scope is not None:
            auth["scope"] = scope
        return self.ask("POST", "/auth/tokens", {"auth": auth}, expect)

    def signed(self, path: str, client: Client, body: Any = None, **headers: str) -> httpx.Response:
        _, signature, _ = client.sign(f"{self.base}/identity/v3{path}", "POST")
        return self.ask("POST", path, body, 201, **signature, **headers)


def _use_passwords(caller: Caller) -> str:
    user = caller.ask("POST", "/users", {"user": {"name": "bob", "password": PASSWORD}}, 201).json()["user"]
    for password, status in ((PASSWORD, 201), (WRONG_PASSWORD, 401)):
        caller.authenticate(status, password={"user": {"id": user["id"], "password": password}})
    caller.ask("POST", "/users", {"user": {"name": "bob", "password": PASSWORD}}, 409)
    change = {"user": {"original_password": PASSWORD, "password": NEW_PASSWORD}}
    caller.ask("POST", f"/users/{user['id']}/password", change, 204)
    caller.ask("POST", f"/users/{user['id']}/password", {"user": {"password": PASSWORD}}, 400)
    caller.http.post("/auth/tokens", content=f'{{"auth": {{"password": "{PASSWORD}"')
    return str(user["id"])


def _use_second_factor(caller: Caller, user_id: str) -> None:
    credential = {"user_id": user_id, "type": "totp", "blob": TOTP_SECRET}
    caller.ask("POST", "/credentials", {"credential": credential}, 201)
    rules = {"multi_factor_auth_rules": [["password", "totp"]]}
    caller.ask("PATCH", f"/users/{user_id}", {"user": {"options": rules}}, 200)
    caller.authenticate(401, password={"user": {"id": user_id, "password": NEW_PASSWORD}})
    code = passcode_at(TOTP_SECRET, int(time.time()) // 30) or ""
    factors = {"totp": {"user": {"id": user_id, "passcode": code}}}
    caller.authenticate(201, password={"user": {"id": user_id, "password": NEW_PASSWORD}}, **factors)


def _use_application_credential(caller: Caller) -> None:
    path = f"/users/{caller.user_id}/application_credentials"
    made = caller.ask("POST", path, {"application_credential": {"name": "ci"}}, 201).json()[
        "application_credential"
    ]
    caller.secrets.add(made["secret"])
    caller.authenticate(201, application_credential={"id": made["id"], "secret": made["secret"]})
    basic = base64.b64encode(f"{made['id']}:{made['secret']}".encode()).decode()
    caller.secrets.add(basic)
    form = {"grant_type": "client_credentials"}
    reply = caller.http.post("/OS-OAUTH2/token", data=form, headers={"authorization": f"Basic {basic}"})
    assert reply.status_code == 200
    caller.secrets.add(reply.json()["access_token"])


def _use_ec2_key(caller: Caller) -> None:
    path = f"/users/{caller.user_id}/credentials/OS-EC2"
    again = {"idempotency-key": "once"}
    made = caller.ask("POST", path, {"tenant_id": caller.project_id}, 201, **again).json()["credential"]
    caller.secrets.add(made["secret"])
    caller.ask("GET", path, None, 200)
    parts = {"access": made["access"], "signature": "wrong", "params": {"SignatureVersion": "2"}}
    caller.ask("POST", "/ec2tokens", {"credentials": parts}, 401)


def _use_oauth(caller: Caller) -> None:
    consumer = caller.ask("POST", "/OS-OAUTH1/consumers", {"consumer": {}}, 201).json()["consumer"]
    asking = Client(consumer["id"], consumer["secret"], callback_uri="oob")
    headers = {"requested-project-id": caller.project_id}
    request = dict(parse_qsl(caller.signed("/OS-OAUTH1/request_token", asking, **headers).text))
    answer = caller.ask(
        "PUT", f"/OS-OAUTH1/authorize/{request['oauth_token']}", {"roles": [{"name": "member"}]}, 200
    )
    verifier = answer.json()["token"]["oauth_verifier"]
    secrets = (request["oauth_token"], request["oauth_token_secret"])
    exchanging = Client(consumer["id"], consumer["secret"], *secrets, verifier=verifier)
    access = dict(parse_qsl(caller.signed("/OS-OAUTH1/access_token", exchanging).text))
    holding = Client(consumer["id"], consumer["secret"], access["oauth_token"], access["oauth_token_secret"])
    caller.signed("/auth/tokens", holding, {"auth": {"identity": {"methods": ["oauth1"], "oauth1": {}}}})
    caller.secrets |= {consumer["secret"], request["oauth_token_secret"], access["oauth_token_secret"]}


def _make_a_mistake(caller: Caller, state: Path) -> None:
    """What is in a credential can't be opened: a 500, whose cause is in the log."""
    credential = {"user_id": caller.user_id, "type": "cert", "blob": BLOB}
    made = caller.ask("POST", "/credentials", {"credential": credential}, 201).json()["credential"]
    folder = state / "identity/credential-keys"
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    for path in kept:
        path.unlink()
    for number in (0, 1):
        (folder / str(number)).write_bytes(base64.urlsafe_b64encode(bytes([number]) * 32))
    caller.ask("GET", f"/credentials/{made['id']}", None, 500)
    until(lambda: made["id"] in (state / "pileus.log").read_text(), 60, "the cause to be logged")


def _last_event(log: Path) -> Any:
    return json.loads(log.read_text().splitlines()[-1])["event"]


def test_no_secret_is_told(tmp_path: Path) -> None:
    with running_cloud(tmp_path, settings={"PILEUS_LOG_LEVEL": "debug"}) as cloud:
        caller = Caller(cloud)
        user_id = _use_passwords(caller)
        _use_second_factor(caller, user_id)
        _use_application_credential(caller)
        _use_ec2_key(caller)
        _use_oauth(caller)
        _make_a_mistake(caller, cloud.state)
        assert len(caller.secrets) > 18
        logs = [path for path in cloud.state.rglob("*.log") if path.is_file()]
        # It is told when the answer is out.
        until(lambda: _last_event(logs[0]) == "request", 60, "the last request to be logged")
        databases = list(cloud.state.glob("pileus.db*"))
        assert len(databases) > 1
        for path in (*logs, *databases):
            content = path.read_bytes()
            told = sorted(secret for secret in caller.secrets if secret.encode() in content)
            assert not told, f"{path} has {told}"
