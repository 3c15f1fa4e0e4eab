"""The cloud as an OpenID Connect provider: browsers, devices and applications log in with its own users."""

from __future__ import annotations

import base64
import hashlib
import html
import logging
import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
import pytest
import requests
from keystoneauth1 import exceptions
from keystoneauth1.identity import v3
from keystoneauth1.identity.v3 import oidc

from pileus.kernel.http.caller import PeerReply
from pileus.services.identity.provider.issuing import ClientSettings, ProviderSettings
from pileus.services.identity.settings import Settings
from pileus.testing.cloud import Cloud, running_cloud
from pileus.testing.identity import ADMIN_PASSWORD, V3, make, serving_identity
from pileus.testing.service import ADMIN, ServiceUnderTest

pytestmark = pytest.mark.slow

OIDC = "/identity/oidc"
ISSUER = f"http://localhost{OIDC}"
REDIRECT = "http://127.0.0.1:4711/done"
GRAFANA = "https://grafana.example.org/login"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ASK = {
    "client_id": "openstack",
    "redirect_uri": REDIRECT,
    "response_type": "code",
    "scope": "openid profile email groups",
    "state": "s",
    "nonce": "n",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    clients = {"grafana": ClientSettings(secret="hush", redirect_uris=(GRAFANA,))}
    settings = Settings(provider=ProviderSettings(clients=clients))
    async with serving_identity(tmp_path, settings) as running:
        yield running


async def post(cloud: ServiceUnderTest, path: str, headers: Any = None, **fields: str) -> PeerReply:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    body = msgspec.Raw(urlencode(fields).encode())  # goes out as it is
    return await cloud.post(f"{OIDC}/{path}", body, headers={**kind, **(headers or {})})


async def login_page(cloud: ServiceUnderTest, **ask: str) -> PeerReply:
    return await cloud.get(f"{OIDC}/authorize?{urlencode(ask)}")


def request_in(page: PeerReply) -> str:
    found = re.search(r'name="request" value="([^"]*)"', page.body.decode())
    assert found is not None, page.body
    return html.unescape(found.group(1))


async def log_in(
    cloud: ServiceUnderTest, ask: dict[str, str], password: str = ADMIN_PASSWORD, name: str = "admin"
) -> PeerReply:
    page = await login_page(cloud, **ask)
    assert page.status == 200, page.body
    fields = {"username": name, "domain": "Default", "password": password}
    return await post(cloud, "authorize", request=request_in(page), **fields)


def answer(reply: PeerReply) -> dict[str, str]:
    assert reply.status == 303, reply.body
    return {name: values[-1] for name, values in parse_qs(urlsplit(reply.headers["location"]).query).items()}


async def exchange(cloud: ServiceUnderTest, code: str, **more: str) -> PeerReply:
    form = {
        "grant_type": "authorization_code",
        "client_id": "openstack",
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }
    return await post(cloud, "token", code=code, **{**form, **more})


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    decoded: dict[str, Any] = msgspec.json.decode(
        base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    )
    return decoded


async def test_a_browser_logs_in_and_the_code_is_good_once(cloud: ServiceUnderTest) -> None:
    sent = answer(await log_in(cloud, ASK))
    assert (sent["state"], sent["iss"]) == ("s", ISSUER)
    reply = await exchange(cloud, sent["code"])
    assert reply.status == 200, reply.body
    tokens = reply.json()
    claims = claims_of(tokens["id_token"])
    assert (claims["iss"], claims["aud"], claims["nonce"], claims["name"]) == (
        ISSUER,
        "openstack",
        "n",
        "admin",
    )
    shown = await cloud.get(f"{OIDC}/userinfo", headers={"authorization": f"Bearer {tokens['access_token']}"})
    assert shown.json()["sub"] == claims["sub"]
    assert shown.json()["groups"] == []
    assert (await exchange(cloud, sent["code"])).json()["error"] == "invalid_grant"


async def test_what_relying_parties_check_fits(cloud: ServiceUnderTest) -> None:
    from joserfc import jwt
    from joserfc.jwk import KeySet

    document = (await cloud.get(f"{OIDC}/.well-known/openid-configuration")).json()
    assert document["issuer"] == ISSUER
    keys = KeySet.import_key_set((await cloud.get(f"{OIDC}/jwks")).json())
    assert "d" not in (await cloud.get(f"{OIDC}/jwks")).json()["keys"][0]
    tokens = (await exchange(cloud, answer(await log_in(cloud, ASK))["code"])).json()
    decoded = jwt.decode(tokens["id_token"], keys, algorithms=["RS256"])
    jwt.JWTClaimsRegistry(iss={"value": ISSUER}, aud={"value": "openstack"}).validate(decoded.claims)


async def test_a_wrong_password_shows_the_page_again(cloud: ServiceUnderTest) -> None:
    for name in ("admin", "nobody", '"><script>'):
        reply = await log_in(cloud, ASK, "wrong", name)
        assert reply.status == 401
        page = reply.body.decode()
        assert 'role="alert"' in page
        assert "<script>" not in page
    assert "wrong" not in page


async def test_the_page_can_be_used_by_everybody(cloud: ServiceUnderTest) -> None:
    reply = await login_page(cloud, **ASK)
    page = reply.body.decode()
    labels = set(re.findall(r'<label for="(\w+)"', page))
    fields = set(re.findall(r'<input id="(\w+)"', page))
    assert labels == fields == {"username", "domain", "password", "passcode"}
    assert '<html lang="en">' in page
    assert "<script" not in page
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "bad",
    [
        {"redirect_uri": "https://evil.example.org/"},
        {"redirect_uri": "http://127.0.0.1.evil.example.org/"},
        {"redirect_uri": "http://127.0.0.1@evil.example.org/"},
        {"client_id": "nobody"},
        {"client_id": "grafana"},
        {"client_id": "pileus-websso"},
    ],
)
async def test_browsers_are_not_sent_just_anywhere(cloud: ServiceUnderTest, bad: dict[str, str]) -> None:
    reply = await login_page(cloud, **{**ASK, **bad})
    assert reply.status == 400
    assert "location" not in reply.headers
    changed = request_in(await login_page(cloud, **ASK)).replace(REDIRECT, "https://evil.example.org/")
    fields = {"username": "admin", "domain": "Default", "password": ADMIN_PASSWORD}
    assert (await post(cloud, "authorize", request=changed, **fields)).status == 400


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "email"}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
    ],
)
async def test_clients_are_told_what_they_do_wrong(
    cloud: ServiceUnderTest, bad: dict[str, str], error: str
) -> None:
    assert answer(await login_page(cloud, **{**ASK, **bad}))["error"] == error
    without = {name: value for name, value in ASK.items() if not name.startswith("code_challenge")}
    assert answer(await login_page(cloud, **without))["error"] == "invalid_request"


@pytest.mark.parametrize(
    "wrong",
    [
        {"code_verifier": "w" * 43},
        {"redirect_uri": "http://127.0.0.1:4712/done"},
        {"client_id": "grafana", "client_secret": "hush"},
        {"client_id": "grafana", "client_secret": "wrong"},
        {"grant_type": "password"},
        {"code": "another"},
    ],
)
async def test_a_code_is_its_clients_alone(cloud: ServiceUnderTest, wrong: dict[str, str]) -> None:
    code = answer(await log_in(cloud, ASK))["code"]
    assert (await exchange(cloud, **{"code": code, **wrong})).status in (400, 401)


async def test_a_code_ends(cloud: ServiceUnderTest) -> None:
    code = answer(await log_in(cloud, ASK))["code"]
    cloud.runtime.clock.by += timedelta(minutes=2)  # type: ignore[attr-defined] - the tests' clock
    assert (await exchange(cloud, code)).json()["error"] == "invalid_grant"


async def test_applications_have_secrets_and_their_tokens_open_nothing_here(cloud: ServiceUnderTest) -> None:
    ask = {"client_id": "grafana", "redirect_uri": GRAFANA, "response_type": "code", "scope": "openid email"}
    code = answer(await log_in(cloud, ask))["code"]
    basic = {"authorization": "Basic " + base64.b64encode(b"grafana:hush").decode()}
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": GRAFANA}
    tokens = (await post(cloud, "token", basic, **form)).json()
    auth = f"{V3}/OS-FEDERATION/identity_providers/pileus/protocols/openid/auth"
    for kind in ("access_token", "id_token"):
        headers = {"authorization": f"Bearer {tokens[kind]}"}
        assert (await cloud.post(auth, headers=headers)).status == 401
    own = (await exchange(cloud, answer(await log_in(cloud, ASK))["code"])).json()
    for kind in ("access_token", "id_token"):
        reply = await cloud.post(auth, headers={"authorization": f"Bearer {own[kind]}"})
        assert reply.status == 201
        assert reply.json()["token"]["user"]["name"] == "admin"


async def test_a_device_waits_until_its_code_is_typed_in(cloud: ServiceUnderTest) -> None:
    asked = (await post(cloud, "device_authorization", client_id="openstack", scope="openid")).json()
    form = {"grant_type": DEVICE, "client_id": "openstack", "device_code": asked["device_code"]}
    assert (await post(cloud, "token", **form)).json()["error"] == "authorization_pending"
    page = await cloud.get(asked["verification_uri_complete"].removeprefix("http://localhost"))
    assert asked["user_code"] in page.body.decode()
    user = {"username": "admin", "domain": "Default", "password": ADMIN_PASSWORD}
    assert (await post(cloud, "device", user_code="BBBB-BBBB", **user)).status == 400
    typed = asked["user_code"].replace("-", " ").lower()
    assert (await post(cloud, "device", user_code=typed, **{**user, "password": "no"})).status == 401
    assert (await post(cloud, "token", **form)).json()["error"] == "authorization_pending"
    assert (await post(cloud, "device", user_code=typed, **user)).status == 200
    assert (await post(cloud, "device", user_code=typed, **user)).status == 400
    assert "access_token" in (await post(cloud, "token", **form)).json()
    assert (await post(cloud, "token", **form)).json()["error"] == "expired_token"


async def test_disabled_users_are_shut_out_at_once(cloud: ServiceUnderTest) -> None:
    alice = await make(cloud, "user", name="alice", password="secret")
    tokens = (await exchange(cloud, answer(await log_in(cloud, ASK, "secret", "alice"))["code"])).json()
    code = answer(await log_in(cloud, ASK, "secret", "alice"))["code"]
    await cloud.patch(f"{V3}/users/{alice['id']}", {"user": {"enabled": False}}, as_=ADMIN)
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    assert (await cloud.get(f"{OIDC}/userinfo", headers=bearer)).status == 401
    assert (await exchange(cloud, code)).json()["error"] == "invalid_grant"
    auth = f"{V3}/OS-FEDERATION/identity_providers/pileus/protocols/openid/auth"
    assert (await cloud.post(auth, headers=bearer)).status == 401


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    off = Settings(provider=ProviderSettings(enabled=False))
    async with serving_identity(tmp_path, off) as cloud:
        assert (await cloud.get(f"{OIDC}/.well-known/openid-configuration")).status == 404
        assert (await login_page(cloud, **ASK)).status == 404
        auth = f"{V3}/OS-FEDERATION/identity_providers/pileus/protocols/openid/auth"
        assert (await cloud.post(auth, headers={"authorization": "Bearer x.y.z"})).status == 401


@pytest.mark.parametrize("path", ["authorize", "token", "device", "device_authorization", "userinfo"])
@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"request=%00", b"request=[1]", b"a=1&" * 100, b"%ff=%ff"]
)
async def test_bad_forms_are_refused(cloud: ServiceUnderTest, path: str, body: bytes) -> None:
    assert (await cloud.post(f"{OIDC}/{path}", msgspec.Raw(body))).status in (400, 401)


# With keystoneauth's own plugins


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


def common(place: Cloud) -> dict[str, Any]:
    return {
        "auth_url": f"{place.base_url}/identity/v3",
        "identity_provider": "pileus",
        "protocol": "openid",
        "project_name": "admin",
        "project_domain_name": "Default",
    }


def fill_in(page: requests.Response, password: str) -> dict[str, str]:
    fields = {
        name: html.unescape(value)
        for name, value in re.findall(r'<input [^>]*name="(\w+)"(?: value="([^"]*)")?', page.text)
    }
    return {**fields, "username": "admin", "password": password}


def password_of(place: Cloud) -> str:
    return (place.state / "admin-password").read_text().strip()


def token_of(plugin: Any) -> dict[str, Any]:
    from keystoneauth1.session import Session

    shown: dict[str, Any] = plugin.get_access(Session())._data["token"]
    return shown


def test_the_command_line_by_device_code(place: Cloud) -> None:
    discovery = f"{place.base_url}{OIDC}/.well-known/openid-configuration"
    more = {"client_id": "openstack", "client_secret": None, "discovery_endpoint": discovery}
    plugin = oidc.OidcDeviceAuthorization(**common(place), **more, code_challenge_method="S256")

    def confirm(record: logging.LogRecord) -> bool:
        found = re.search(r"go to: (\S+)", record.getMessage())
        if found is not None:
            page = requests.get(found.group(1))
            done = requests.post(page.url, data=fill_in(page, password_of(place)))
            assert done.status_code == 200, done.text
        return True

    oidc.LOG.addFilter(confirm)
    try:
        token = token_of(plugin)
    finally:
        oidc.LOG.removeFilter(confirm)
    assert token["user"]["name"] == "admin"
    assert token["project"]["name"] == "admin"
    assert token["methods"] == ["openid", "token"]


def test_a_browser_that_begins_at_a_dashboard(place: Cloud) -> None:
    origin = "http://localhost:9990/auth/websso/"
    browser = requests.Session()
    url = f"{place.base_url}/identity/v3/auth/OS-FEDERATION/websso/openid?{urlencode({'origin': origin})}"
    page = browser.get(url)
    assert page.url.startswith(f"{place.base_url}{OIDC}/authorize")
    done = browser.post(page.url.partition("?")[0], data=fill_in(page, password_of(place)))
    assert done.status_code == 200, done.text
    assert f'action="{origin}"' in done.text
    found = re.search(r'name="token" value="([^"]+)"', done.text)
    assert found is not None
    scope = {"project_name": "admin", "project_domain_name": "Default"}
    token = token_of(v3.Token(f"{place.base_url}/identity/v3", token=found.group(1), **scope))
    assert token["user"]["name"] == "admin"


def test_a_code_that_somebody_else_was_given_is_no_way_in(place: Cloud) -> None:
    more = {
        "client_id": "openstack",
        "client_secret": "",
        "access_token_endpoint": f"{place.base_url}{OIDC}/token",
        "redirect_uri": REDIRECT,
        "code": "stolen",
    }
    with pytest.raises(exceptions.BadRequest):
        token_of(v3.OidcAuthorizationCode(**common(place), **more))
