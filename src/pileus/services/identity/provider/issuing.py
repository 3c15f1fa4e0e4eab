"""Who may ask the provider for tokens, and the tokens themselves."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import Row

from pileus.kernel.clock import Clock
from pileus.kernel.db import Tx
from pileus.kernel.files import write_once
from pileus.services.identity.store import user

CLI, CONSOLE = "openstack", "pileus-websso"
"""Clients that every cloud has: programs on users' machines, and the cloud's own browser login."""
SCOPES = ("openid", "profile", "email", "groups")
LIFE_SECONDS = 600
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An application that people log in to with their user of this cloud."""

    secret: str
    redirect_uris: tuple[str, ...] = ()


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = True
    clients: dict[str, ClientSettings] = {}
    """By client id; the client `openstack` is always there, without a secret."""


def knows_redirect(settings: ProviderSettings, client_id: str, redirect_uri: str, own: str) -> bool:
    """Whether a client may have browsers sent there: programs to any port of the user's own machine (RFC 8252)."""
    if client_id == CLI:
        parts = urlsplit(redirect_uri)
        return parts.scheme == "http" and parts.hostname in _LOOPBACK and not parts.fragment
    if client_id == CONSOLE:
        return redirect_uri == own
    client = settings.clients.get(client_id)
    return client is not None and redirect_uri in client.redirect_uris


def knows_client(settings: ProviderSettings, client_id: str, secret: str | None) -> bool:
    """Whether it is that client. The cloud's own browser login never asks over the network."""
    if client_id == CLI:
        return not secret
    client = settings.clients.get(client_id)
    return client is not None and hmac.compare_digest((secret or "").encode(), client.secret.encode())


def proves(verifier: str, challenge: str) -> bool:
    """PKCE, S256 (RFC 7636)."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(digest, challenge.encode())


def subject(tx: Tx, user_id: str, scope: str) -> dict[str, Any] | None:
    """What a scope shows of a user; None where the user is gone or disabled."""
    person = user.get(tx, user_id)
    if person is None or not person.enabled:
        return None
    return {"sub": person.id, **_details(tx, person, scope.split())}


def _details(tx: Tx, person: Row[Any], scopes: list[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if "profile" in scopes:
        shown.update(name=person.name, preferred_username=person.name, domain_id=person.domain_id)
    email = person.extra.get("email")
    if "email" in scopes and isinstance(email, str):
        shown["email"] = email
    if "groups" in scopes:
        shown["groups"] = [row.name for row in user.groups_of(tx, person.id)]
    return shown


class Signer:
    """The provider's key, made when it is first needed; processes that share the folder share the key."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._path = folder / "oidc-signing-key.pem"
        self._clock = clock

    @cached_property
    def key(self) -> Any:
        from joserfc.jwk import RSAKey

        if not self._path.exists():
            self._make()
        key = RSAKey.import_key(self._path.read_bytes(), {"use": "sig", "alg": "RS256"})
        return RSAKey.import_key(
            {**key.as_dict(private=True), "kid": key.thumbprint(), "use": "sig", "alg": "RS256"}
        )

    def _make(self) -> None:
        from joserfc.jwk import RSAKey

        pem = RSAKey.generate_key(2048).as_pem(private=True)
        write_once(self._path, pem)

    def public(self) -> list[dict[str, Any]]:
        """The keys that anybody may see."""
        return [self.key.as_dict(private=False)]

    def sign(self, issuer: str, client_id: str, claims: Mapping[str, Any], kind: str = "JWT") -> str:
        """A JWT for the client."""
        from joserfc import jwt

        now = int(self._clock.now().timestamp())
        standard = {"iss": issuer, "aud": client_id, "iat": now, "exp": now + LIFE_SECONDS}
        header = {"alg": "RS256", "kid": self.key.kid}
        return jwt.encode(header, {**claims, **standard}, self.key, default_type=kind)

    def opened(self, token: str) -> dict[str, Any] | None:
        """The claims of a token of ours that is still good, whomever it is for."""
        from joserfc import jwt
        from joserfc.errors import JoseError

        try:
            decoded = jwt.decode(token, self.key, algorithms=["RS256"])
            registry = jwt.JWTClaimsRegistry(
                now=int(self._clock.now().timestamp()), exp={"essential": True}, sub={"essential": True}
            )
            registry.validate(decoded.claims)
        except (JoseError, ValueError, TypeError):
            return None
        return {**decoded.claims, "typ": decoded.header.get("typ")}
