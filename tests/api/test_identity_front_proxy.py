"""What a web server in front says of a client: its user, its certificate. And who is not believed."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pileus.kernel.api.call import CONTEXT_KEY
from pileus.kernel.context import Context
from pileus.kernel.http.caller import AsgiPeer, PeerReply
from pileus.kernel.http.front_proxy import FrontProxy, thumbprint
from pileus.services.identity.jws import JwsKeys, JwsTokens
from pileus.services.identity.settings import External, Oauth2, Settings
from pileus.testing.identity import V3, Somebody, make, serving_identity, shown_token, somebody
from pileus.testing.service import ADMIN, ServiceUnderTest

PROXY = "192.0.2.7"
HEADER = "x-ssl-client-cert"
RULES = [
    {
        "local": [{"user": {"id": "{0}", "name": "{1}", "domain": {"id": "{2}"}}}],
        "remote": [
            {"type": "SSL_CLIENT_SUBJECT_DN_UID"},
            {"type": "SSL_CLIENT_SUBJECT_DN_CN"},
            {"type": "SSL_CLIENT_SUBJECT_DN_DC"},
            {"type": "SSL_CLIENT_ISSUER_DN_CN", "any_one_of": ["the authority"]},
        ],
    }
]


class Sender(AsgiPeer):
    """A client at an address, with the headers it likes."""

    def __init__(self, cloud: ServiceUnderTest, address: str | None = PROXY) -> None:
        super().__init__(cloud.application, "")
        self.address = address

    def _scope(self, *args: Any, **more: Any) -> dict[str, Any]:
        scope = super()._scope(*args, **more)
        del scope[CONTEXT_KEY]
        return {**scope, "client": None if self.address is None else (self.address, 4711)}

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> PeerReply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.request(method, path, context=Context(), body=body, headers=named)

    async def form(self, fields: Mapping[str, str], **headers: str) -> PeerReply:
        """Asks for a token of OAuth 2.0."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        scope = self._scope("POST", f"{V3}/OS-OAUTH2/token", Context(), None, named)
        said: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": urlencode(fields).encode()}

        async def send(message: dict[str, Any]) -> None:
            said.append(message)

        await self._app(scope, receive, send)
        return PeerReply(said[0]["status"], {}, said[1]["body"])


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with serving_identity(tmp_path, Settings(external=External(variant="Domain"))) as running:
        running.runtime.front_proxy = FrontProxy(peers=("192.0.2.0/28", "fd00::7"))
        yield running


# The methods external and kerberos


def asking(*methods: str) -> dict[str, Any]:
    return {"auth": {"identity": {"methods": list(methods), **{each: {} for each in methods}}}}


async def log_in(
    cloud: ServiceUnderTest, *methods: str, address: str | None = PROXY, **headers: str
) -> PeerReply:
    return await Sender(cloud, address).send("POST", f"{V3}/auth/tokens", asking(*methods), **headers)


async def test_the_proxy_names_the_user(cloud: ServiceUnderTest) -> None:
    bob = await somebody(cloud, "bob")
    reply = await log_in(cloud, "external", x_remote_user="bob")
    assert reply.status == 201, reply.body
    assert reply.json()["token"]["user"]["id"] == bob.id
    assert reply.json()["token"]["methods"] == ["external"]
    unnamed = await log_in(cloud, x_remote_user="bob")
    assert (unnamed.status, unnamed.json()["token"]["methods"]) == (201, ["external"])
    assert (await log_in(cloud, "external", address="fd00::7", x_remote_user="bob")).status == 201
    assert (await log_in(cloud, "external", address="::ffff:192.0.2.7", x_remote_user="bob")).status == 201


async def test_in_a_domain_that_the_proxy_names(cloud: ServiceUnderTest) -> None:
    far = await make(cloud, "domain", name="far")
    eve = await make(cloud, "user", name="eve", domain_id=far["id"], password="eve-password")
    assert (await log_in(cloud, "external", x_remote_user="eve")).status == 401
    reply = await log_in(cloud, "external", x_remote_user="eve", x_remote_domain="far")
    assert reply.json()["token"]["user"]["id"] == eve["id"]
    cloud.runtime.state.settings = Settings(external=External(variant="DefaultDomain"))
    assert (await log_in(cloud, "external", x_remote_user="eve", x_remote_domain="far")).status == 401


async def test_kerberos_wants_to_be_negotiated(cloud: ServiceUnderTest) -> None:
    await somebody(cloud, "bob")
    assert (await log_in(cloud, "kerberos", x_remote_user="bob")).status == 401
    assert (await log_in(cloud, "kerberos", x_remote_user="bob", x_auth_type="Basic")).status == 401
    assert (await log_in(cloud, "kerberos", x_remote_user="bob", x_auth_type="Negotiate")).status == 201


@pytest.mark.parametrize("address", ["192.0.2.16", "127.0.0.1", "fd00::8", "nonsense", None])
async def test_nobody_else_is_believed(cloud: ServiceUnderTest, address: str | None) -> None:
    await somebody(cloud, "bob")
    reply = await log_in(cloud, "external", address=address, x_remote_user="bob")
    assert reply.status == 401
    assert "bob" not in reply.body.decode()


async def test_what_proves_nothing(cloud: ServiceUnderTest) -> None:
    bob = await somebody(cloud, "bob")
    assert (await log_in(cloud, "external")).status == 401
    assert (await log_in(cloud, "external", x_remote_user=" ")).status == 401
    assert (await log_in(cloud, "external", x_remote_user="nobody")).status == 401
    assert (await log_in(cloud, "external", x_remote_user="b\0b")).status == 401
    assert (await log_in(cloud)).status == 401
    both = Sender(cloud)
    scope = both._scope("POST", f"{V3}/auth/tokens", Context(), None, {"x-remote-user": "bob"})
    twice = {**scope, "headers": [*scope["headers"], (b"x-remote-user", b"admin")]}
    assert cloud.runtime.front_proxy.says(scope, "X-Remote-User") == "bob"
    assert cloud.runtime.front_proxy.says(twice, "X-Remote-User") is None
    await cloud.patch(f"{V3}/users/{bob.id}", {"user": {"enabled": False}}, as_=ADMIN)
    assert (await log_in(cloud, "external", x_remote_user="bob")).status == 401


async def test_it_is_off_unless_asked_for(tmp_path: Path) -> None:
    async with serving_identity(tmp_path) as cloud:
        bob = await somebody(cloud, "bob")
        rules = {"multi_factor_auth_rules": [["password", "external"]], "multi_factor_auth_enabled": True}
        assert (await log_in(cloud, "external", x_remote_user="bob")).status == 401
        cloud.runtime.front_proxy = FrontProxy(peers=("192.0.2.0/28",))
        assert (await log_in(cloud, "external", x_remote_user="bob")).status == 401
        assert (await log_in(cloud, x_remote_user="bob")).status == 400
        reply = await cloud.patch(f"{V3}/users/{bob.id}", {"user": {"options": rules}}, as_=ADMIN)
        assert reply.status == 200, reply.body  # a method that the cloud does not have is asked of nobody


def test_peers_are_addresses() -> None:
    with pytest.raises(ValueError, match="peers"):
        FrontProxy(peers=("proxy.example.org",))


# OAuth 2.0 with mutual TLS


def certificate(uid: str, name: str, *, issuer: str = "the authority", domain: str = "default") -> bytes:
    """DER; the proxy has checked who signed it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = [(NameOID.USER_ID, uid), (NameOID.COMMON_NAME, name), (NameOID.DOMAIN_COMPONENT, domain)]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(oid, value) for oid, value in subject if value]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.DER)


def text(der: bytes) -> str:
    pem: str = x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM).decode()
    return pem


async def owner(cloud: ServiceUnderTest, name: str = "bob") -> Somebody:
    """Somebody with a default project, and the mapping that certificates go by."""
    bob = await somebody(cloud, name)
    body = {"user": {"default_project_id": bob.project["id"]}}
    assert (await cloud.patch(f"{V3}/users/{bob.id}", body, as_=ADMIN)).status == 200
    path = f"{V3}/OS-FEDERATION/mappings/oauth2_mapping"
    assert (await cloud.put(path, {"mapping": {"rules": RULES}}, as_=ADMIN)).status == 201
    return bob


def grant(user_id: str) -> dict[str, str]:
    return {"grant_type": "client_credentials", "client_id": user_id}


@pytest.mark.parametrize("form", ["fernet", "jws"])
async def test_a_token_is_bound_to_the_clients_certificate(
    cloud: ServiceUnderTest, form: str, tmp_path: Path
) -> None:
    if form == "jws":
        cloud.runtime.state.tokens = JwsTokens(JwsKeys(tmp_path / "jws"))
    bob = await owner(cloud)
    der = certificate(bob.id, "bob")
    shown = {HEADER: quote(text(der))}
    reply = await Sender(cloud).form(grant(bob.id), **shown)
    assert reply.status == 200, reply.body
    said = reply.json()
    assert (said["token_type"], said["expires_in"]) == ("Bearer", 3600)
    token = (await shown_token(cloud, said["access_token"])).json()["token"]
    assert token["methods"] == ["oauth2_credential"]
    assert token["project"]["id"] == bob.project["id"]
    assert token["oauth2_credential"] == {"x5t#S256": thumbprint(der)}

    bearer = {"authorization": f"Bearer {said['access_token']}"}
    path = f"{V3}/auth/projects"
    assert (await Sender(cloud).send("GET", path, **bearer, **shown)).status == 200
    assert (await Sender(cloud).send("GET", path, **bearer)).status == 401
    other = {HEADER: quote(text(certificate(bob.id, "bob")))}
    assert (await Sender(cloud).send("GET", path, **bearer, **other)).status == 401
    assert (await Sender(cloud, "198.51.100.1").send("GET", path, **bearer, **shown)).status == 401
    rescoped = {"auth": {"identity": {"methods": ["token"], "token": {"id": said["access_token"]}}}}
    assert (await Sender(cloud).send("POST", f"{V3}/auth/tokens", rescoped, **shown)).status == 403


async def test_whose_a_certificate_is(cloud: ServiceUnderTest) -> None:
    bob = await owner(cloud)
    eve = await somebody(cloud, "eve")

    async def status(der: bytes, user_id: str = bob.id) -> int:
        reply = await Sender(cloud).form(grant(user_id), **{HEADER: base64.b64encode(der).decode()})
        if reply.status != 200:
            assert reply.json() == {
                "error": "invalid_client",
                "error_description": "Client authentication failed.",
            }
        return reply.status

    assert await status(certificate(bob.id, "bob")) == 200
    assert await status(certificate(bob.id, "eve")) == 401
    assert await status(certificate(eve.id, "eve")) == 401
    assert await status(certificate(eve.id, "eve"), eve.id) == 401  # has no default project
    assert await status(certificate(bob.id, "bob", issuer="somebody else")) == 401
    assert await status(certificate(bob.id, "bob", domain="far")) == 401
    assert await status(certificate(bob.id, "bob", domain="")) == 401
    assert await status(b"no certificate") == 401
    assert await status(certificate(bob.id, "bob"), "nobody") == 401
    assert await status(certificate(bob.id, "bob"), "") == 401
    assert await status(certificate(bob.id, "bob"), "b\0b") == 401
    anybody = {"rules": [{"local": [{"domain": {"id": "default"}}], "remote": [RULES[0]["remote"][3]]}]}
    path = f"{V3}/OS-FEDERATION/mappings/oauth2_mapping"
    assert (await cloud.patch(path, {"mapping": anybody}, as_=ADMIN)).status == 200
    assert await status(certificate(bob.id, "bob")) == 401  # says of nobody in particular that it is him
    assert (await cloud.delete(path, as_=ADMIN)).status == 204
    assert await status(certificate(bob.id, "bob")) == 401


async def test_certificates_can_be_off(cloud: ServiceUnderTest) -> None:
    bob = await owner(cloud)
    cloud.runtime.state.settings = Settings(oauth2=Oauth2(oauth2_authn_methods=("client_secret_basic",)))
    shown = {HEADER: quote(text(certificate(bob.id, "bob")))}
    assert (await Sender(cloud).form(grant(bob.id), **shown)).status == 401


def test_certificates_as_web_servers_write_them() -> None:
    der = certificate("1", "bob")
    proxy, pem, plain = FrontProxy(peers=(PROXY,)), text(der), base64.b64encode(der).decode()
    for said in (quote(pem), pem.replace("\n", " "), pem.replace("\n", "\t"), plain, f":{plain}:"):
        scope = {"client": (PROXY, 1), "headers": [(b"X-SSL-Client-Cert", said.encode())]}
        assert proxy.certificate(scope) == der, said
    for said in ("", "(null)", "%", "-----BEGIN CERTIFICATE-----"):
        scope = {"client": (PROXY, 1), "headers": [(b"X-SSL-Client-Cert", said.encode())]}
        assert proxy.certificate(scope) is None
