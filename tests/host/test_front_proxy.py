"""Clients with certificates behind a real nginx, configured as the operator's page has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from cryptography.x509.oid import NameOID
from keystoneauth1 import exceptions, loading
from keystoneauth1.session import Session
from requests.adapters import HTTPAdapter

from pileus.testing.cloud import Cloud, free_port, running_cloud

from .certificates import Authority
from .nginx import nginx

pytestmark = pytest.mark.host
PAGE = Path(__file__).parents[2] / "doc/operator/front-proxy.md"
RULES = [
    {
        "local": [{"user": {"id": "{0}", "name": "{1}"}}],
        "remote": [
            {"type": "SSL_CLIENT_SUBJECT_DN_UID"},
            {"type": "SSL_CLIENT_SUBJECT_DN_CN"},
            {"type": "SSL_CLIENT_ISSUER_DN_CN", "any_one_of": ["Our authority"]},
        ],
    }
]
CertificateAndKey = tuple[str, str]


@dataclass
class Site:
    """A cloud behind nginx: the user robot, with a certificate of its own."""

    cloud: Cloud
    url: str
    authority: Authority
    user_id: str
    robot: CertificateAndKey

    def session(self, certificate: CertificateAndKey | None) -> Session:
        return Session(cert=certificate, verify=str(self.authority.folder / "authority.pem"))

    def plugin(self) -> Any:
        loader = loading.get_plugin_loader("v3oauth2mtlsclientcredential")
        return loader.load_from_options(
            auth_url=f"{self.url}/identity/v3",
            oauth2_endpoint=f"{self.url}/identity/v3/OS-OAUTH2/token",
            oauth2_client_id=self.user_id,
        )

    def certificate_of(self, name: str, uid: str) -> CertificateAndKey:
        return self.authority.client(f"{name}-{uid}", {NameOID.USER_ID: uid, NameOID.COMMON_NAME: name})

    def external(self, certificate: CertificateAndKey | None, **headers: str) -> requests.Response:
        body = {"auth": {"identity": {"methods": ["external"], "external": {}}}}
        return requests.post(
            f"{self.url}/identity/v3/auth/tokens",
            json=body,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            cert=certificate,
            verify=str(self.authority.folder / "authority.pem"),
            timeout=60,
        )


def configuration(folder: Path, port: int, cloud: Cloud) -> str:
    """The operator's page's, with addresses and files of this test."""
    (found,) = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for theirs, ours in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/cloud.pem", str(folder / "certificate.pem")),
        ("/etc/ssl/cloud.key", str(folder / "key.pem")),
        ("/etc/ssl/clients-ca.pem", str(folder / "authority.pem")),
        ("http://127.0.0.1:8900", cloud.base_url),
    ):
        assert theirs in found
        found = found.replace(theirs, ours)
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("front"), free_port()
    authority = Authority(folder, "Our authority")
    authority.server("127.0.0.1")
    url = f"https://127.0.0.1:{port}"
    settings = {
        "PILEUS_PUBLIC_URL": url,
        "PILEUS_FRONT_PROXY__PEERS": '["127.0.0.1"]',
        "PILEUS_IDENTITY__EXTERNAL__VARIANT": "Domain",
    }
    with (
        running_cloud(folder / "cloud", settings=settings) as cloud,
        nginx(folder / "nginx", port, configuration(folder, port, cloud)),
    ):
        identity = cloud.connect(cacert=folder / "authority.pem").identity
        work = identity.create_project(name="work", domain_id="default")
        robot = identity.create_user(name="robot", domain_id="default", default_project_id=work.id)
        identity.assign_project_role_to_user(work, robot, identity.find_role("member"))
        identity.create_mapping(id="oauth2_mapping", rules=RULES)
        site = Site(cloud, url, authority, robot.id, ("", ""))
        site.robot = site.certificate_of("robot", robot.id)
        yield site


def test_a_program_works_by_its_certificate_alone(site: Site) -> None:
    session, plugin = site.session(site.robot), site.plugin()
    shown = session.get(f"{site.url}/identity/v3/auth/projects", auth=plugin).json()
    assert [each["name"] for each in shown["projects"]] == ["work"]
    # Found by the catalog, which says where nginx is.
    images = session.get("/v2/images", auth=plugin, endpoint_filter={"service_type": "image"})
    assert images.url.startswith(site.url)
    assert images.status_code == 200


def test_its_token_is_good_with_its_certificate_alone(site: Site) -> None:
    token = site.plugin().get_token(site.session(site.robot))
    path = f"{site.url}/identity/v3/auth/projects"
    for headers in ({"X-Auth-Token": token}, {"Authorization": f"Bearer {token}"}):
        assert site.session(site.robot).get(path, headers=headers).status_code == 200
        for other in (site.certificate_of("robot-again", site.user_id), None):
            with pytest.raises(exceptions.Unauthorized):
                site.session(other).get(path, headers=headers)


@pytest.mark.parametrize("whose", ["another user's", "a stranger's name", "none"])
def test_no_other_certificate_gets_one(site: Site, whose: str) -> None:
    certificates = {
        "another user's": ("robot", "0" * 32),
        "a stranger's name": ("stranger", site.user_id),
    }
    certificate = site.certificate_of(*certificates[whose]) if whose in certificates else None
    with pytest.raises(exceptions.ClientException):
        site.plugin().get_token(site.session(certificate))


def test_another_authority_gets_nobody_in(site: Site, tmp_path: Path) -> None:
    evil = Authority(tmp_path, "Our authority")
    forged = evil.client("robot", {NameOID.USER_ID: site.user_id, NameOID.COMMON_NAME: "robot"})
    reply = site.external(forged)
    assert reply.status_code == 400
    assert "nginx" in reply.text  # it never came to the cloud


class From(HTTPAdapter):
    """Connects from an address of loopback that is not the web server's."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, source_address=("127.0.0.2", 0))


def test_headers_count_from_the_web_server_alone(site: Site) -> None:
    said = {"X-SSL-Client-Cert": quote(Path(site.robot[0]).read_text()), "X-Remote-User": "robot"}
    form = {"grant_type": "client_credentials", "client_id": site.user_id}
    token, path = f"{site.cloud.base_url}/identity/v3/OS-OAUTH2/token", "/identity/v3/auth/projects"
    # The test itself is at the trusted address, and can say what it likes.
    assert requests.post(token, data=form, headers=said, timeout=60).status_code == 200
    bound = site.plugin().get_token(site.session(site.robot))
    body = {"auth": {"identity": {"methods": ["external"], "external": {}}}}
    with requests.Session() as stranger:
        stranger.mount("http://", From())
        assert stranger.post(token, data=form, headers=said, timeout=60).status_code == 401
        shown = stranger.get(site.cloud.base_url + path, headers={**said, "X-Auth-Token": bound}, timeout=60)
        assert shown.status_code == 401
        login = f"{site.cloud.base_url}/identity/v3/auth/tokens"
        assert stranger.post(login, json=body, headers=said, timeout=60).status_code == 401


def test_the_web_server_overrides_what_clients_say(site: Site) -> None:
    said = {"X-SSL-Client-Cert": quote(Path(site.robot[0]).read_text())}
    session = site.session(None)
    session.additional_headers.update(said)
    with pytest.raises(exceptions.ClientException):
        site.plugin().get_token(session)
    names = {"X_Remote_User": "admin", "X_Remote_Domain": "Default"}
    assert site.external(None, **names).status_code == 401
    robot = site.external(site.robot, **names)
    assert robot.json()["token"]["user"]["name"] == "robot"


def test_a_certificate_names_an_external_user(site: Site) -> None:
    shown = site.external(site.robot)
    assert shown.status_code == 201, shown.text
    token = shown.json()["token"]
    assert (token["methods"], token["user"]["id"]) == (["external"], site.user_id)
    assert site.external(None).status_code == 401


@pytest.mark.parametrize("name", ["x,CN=admin", "x+CN=admin", "admin\\", '"admin"', "nobody", "admin,"])
def test_no_name_passes_for_another(site: Site, name: str) -> None:
    certificate = site.authority.client("odd", {NameOID.COMMON_NAME: name})
    assert site.external(certificate).status_code == 401
