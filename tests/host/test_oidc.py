"""Logging in through a real identity provider, by keystoneauth's own plugins."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from keystoneauth1 import exceptions
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from pileus.testing.cloud import Cloud, free_port, running_cloud

from .oidc_provider import Browser, oidc_provider, query_of

pytestmark = [pytest.mark.host, pytest.mark.slow]
DASHBOARD = "http://localhost:9990/auth/websso/"
LOCAL = [{"user": {"id": "{0}", "name": "{1}"}}, {"groups": "{2}", "domain": {"id": "default"}}]
REMOTE = [{"type": "sub"}, {"type": "OIDC-name"}, {"type": "groups"}]
MACHINE = {"remote": [{"type": "client_id"}], "local": [{"user": {"name": "machine-{0}"}}]}


class Place:
    """A cloud that trusts a real identity provider, and has a project for the group ops."""

    def __init__(self, cloud: Cloud, issuer: str) -> None:
        self.cloud, self.issuer = cloud, issuer
        self.auth_url = f"{cloud.base_url}/identity/v3"
        self.discovery = f"{issuer}/.well-known/openid-configuration"

    def prepare(self) -> None:
        admin = self.cloud.connect().identity
        admin.create_mapping(id="rules", rules=[{"remote": REMOTE, "local": LOCAL}, MACHINE])
        admin.create_identity_provider(id="acme", is_enabled=True, remote_ids=[self.issuer])
        admin.create_federation_protocol("acme", id="openid", mapping_id="rules")
        ops = admin.create_group(name="ops", domain_id="default")
        self.project = admin.create_project(name="shared", domain_id="default")
        admin.assign_project_role_to_group(self.project, ops, admin.find_role("member"))

    def plugin(self, kind: Any, **more: Any) -> Any:
        common = {
            "auth_url": self.auth_url,
            "identity_provider": "acme",
            "protocol": "openid",
            "discovery_endpoint": self.discovery,
            "scope": "openid profile email",
        }
        if kind is not v3.OidcAccessToken:
            common.update(client_id="pileus", client_secret="hush")
        return kind(**{**common, **more})

    def token(self, plugin: Any) -> dict[str, Any]:
        """What the cloud says of the token that the plugin gets."""
        session = Session(auth=plugin)
        access = plugin.get_access(session)
        shown: dict[str, Any] = access._data["token"]
        return shown


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    port = free_port()
    callback = f"http://127.0.0.1:{port}/identity/v3/auth/OS-FEDERATION/oidc/callback"
    with oidc_provider(callback) as issuer:
        setting = (
            f'{{acme = {{issuer = "{issuer}", client_id = "pileus", client_secret = "hush", '
            'audiences = ["pileus", "urn:cloud"]}}'
        )
        settings = {"PILEUS_IDENTITY__OIDC": setting}
        with running_cloud(tmp_path_factory.mktemp("cloud"), port=port, settings=settings) as cloud:
            found = Place(cloud, issuer)
            found.prepare()
            yield found


def assert_alice(token: dict[str, Any], place: Place) -> None:
    assert token["user"]["name"] == "ALICE"
    assert token["user"]["OS-FEDERATION"]["identity_provider"] == {"id": "acme"}
    assert token["project"]["id"] == place.project.id
    assert {each["name"] for each in token["roles"]} == {"member", "reader"}


def test_by_password(place: Place) -> None:
    plugin = place.plugin(
        v3.OidcPassword, username="alice", password="wonderland", project_id=place.project.id
    )
    assert_alice(place.token(plugin), place)


def test_a_wrong_password_is_no_way_in(place: Place) -> None:
    plugin = place.plugin(v3.OidcPassword, username="alice", password="no")
    with pytest.raises(exceptions.BadRequest):
        place.token(plugin)


def test_who_is_not_in_the_group_does_not_get_into_its_project(place: Place) -> None:
    plugin = place.plugin(v3.OidcPassword, username="bob", password="builder", project_id=place.project.id)
    with pytest.raises(exceptions.Unauthorized):
        place.token(plugin)


def test_by_authorization_code(place: Place) -> None:
    redirect = "http://127.0.0.1:1/callback"
    asked = {
        "client_id": "pileus",
        "response_type": "code",
        "redirect_uri": redirect,
        "scope": "openid profile email",
    }
    browser = Browser("alice", "wonderland")
    code = query_of(browser.go(f"{place.issuer}/auth?{urlencode(asked)}", redirect))["code"]
    plugin = place.plugin(
        v3.OidcAuthorizationCode, code=code, redirect_uri=redirect, project_id=place.project.id
    )
    assert_alice(place.token(plugin), place)


def test_by_device_code(place: Place) -> None:
    from keystoneauth1.identity.v3 import oidc

    plugin = place.plugin(
        oidc.OidcDeviceAuthorization, project_id=place.project.id, code_challenge_method="S256"
    )

    def confirm(record: logging.LogRecord) -> bool:
        """The user, who does as the plugin says."""
        found = re.search(r"go to: (\S+)", record.getMessage())
        if found is not None:
            Browser("alice", "wonderland").go(found.group(1), "nowhere:")
        return True

    oidc.LOG.addFilter(confirm)
    try:
        assert_alice(place.token(plugin), place)
    finally:
        oidc.LOG.removeFilter(confirm)


def test_by_client_credentials(place: Place) -> None:
    plugin = place.plugin(v3.OidcClientCredentials, scope="api")
    assert place.token(plugin)["user"]["name"] == "machine-pileus"


def _access_token(place: Place, client: tuple[str, str], **form: str) -> str:
    reply = requests.post(f"{place.issuer}/token", data=form, auth=client)
    assert reply.status_code == 200, reply.text
    token: str = reply.json()["access_token"]
    return token


def test_by_an_access_token_that_is_a_jwt(place: Place) -> None:
    form = {"grant_type": "client_credentials", "scope": "api", "resource": "urn:cloud"}
    token = _access_token(place, ("pileus", "hush"), **form)
    assert token.count(".") == 2
    plugin = place.plugin(v3.OidcAccessToken, access_token=token)
    assert place.token(plugin)["user"]["name"] == "machine-pileus"


@pytest.mark.parametrize("resource", ["", "urn:somewhere-else"])
def test_tokens_for_others_are_refused(place: Place, resource: str) -> None:
    form = {"grant_type": "client_credentials", "scope": "api"}
    token = _access_token(
        place, ("stranger", "other"), **form, **({"resource": resource} if resource else {})
    )
    with pytest.raises(exceptions.Unauthorized):
        place.token(place.plugin(v3.OidcAccessToken, access_token=token))


def test_with_a_browser(place: Place) -> None:
    start = f"{place.auth_url}/auth/OS-FEDERATION/identity_providers/acme/protocols/openid/websso"
    browser = Browser("alice", "wonderland")
    callback = browser.go(f"{start}?{urlencode({'origin': DASHBOARD})}", f"{place.auth_url}/auth")
    stolen = requests.get(callback)
    assert stolen.status_code == 401, "another browser must not be able to finish this login"
    page = browser.session.get(callback)
    assert page.status_code == 200, page.text
    assert f'action="{DASHBOARD}"' in page.text
    found = re.search(r'name="token" value="([^"]+)"', page.text)
    assert found is not None
    plugin = v3.Token(place.auth_url, token=found.group(1), project_id=place.project.id)
    assert_alice(place.token(plugin), place)


def test_keystoneauths_own_browser_login(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    import webbrowser

    from keystoneauth1.identity.v3.websso import WebSSO

    def open_and_log_in(url: str, *args: Any, **more: Any) -> bool:
        browser = Browser("alice", "wonderland")
        page = browser.session.get(browser.go(url, f"{place.auth_url}/auth/OS-FEDERATION/oidc"))
        found = re.search(r'name="token" value="([^"]+)"', page.text)
        assert found is not None, page.text
        headers = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "origin": "null"}
        pool.submit(requests.post, DASHBOARD, data={"token": found.group(1)}, headers=headers)
        return True

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(webbrowser, "open", open_and_log_in)
        plugin = WebSSO(
            auth_url=place.auth_url,
            identity_provider="acme",
            protocol="openid",
            project_id=place.project.id,
        )
        assert_alice(place.token(plugin), place)


@pytest.mark.parametrize("origin", ["", "https://evil.example.org/", DASHBOARD + "x"])
def test_a_token_goes_to_trusted_dashboards_only(place: Place, origin: str) -> None:
    url = f"{place.auth_url}/auth/OS-FEDERATION/websso/openid?{urlencode({'origin': origin})}"
    reply = requests.get(url, allow_redirects=False)
    assert reply.status_code == (401 if origin else 400)
