"""OpenID Connect as its relying party: what an access token or ID token says, once it is proven to be good.

A token that is a JWT is checked against the provider's keys (RFC 7519, RFC 9068, OpenID Connect Core); any other by asking
the provider (RFC 7662). What the provider knows beyond it comes from its userinfo endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
import structlog

from pileus.kernel.clock import Clock
from pileus.kernel.errors import Unavailable
from pileus.services.identity import resolve

log = structlog.get_logger("pileus.identity.oidc")
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key that the provider alone has."""
WELL_KNOWN = "/.well-known/openid-configuration"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class OidcSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How one identity provider is asked; `[identity.oidc.NAME]`, where NAME is the identity provider's id."""

    issuer: str
    """As its tokens name it; its discovery document lies below."""
    client_id: str
    client_secret: str | None = None
    audiences: tuple[str, ...] = ()
    """Whom its tokens may be for; the client alone by default."""
    protocols: tuple[str, ...] = ("openid",)
    """The ids of its protocols here that are OpenID Connect."""
    scope: str = "openid profile email"
    """What the browser login asks for."""
    leeway_seconds: int = 30
    """By how much clocks may differ."""
    timeout_seconds: float = 10.0
    ca_file: str | None = None
    """Who signs the provider's certificate, where the system does not know."""

    def __post_init__(self) -> None:
        url = urlsplit(self.issuer)
        if url.scheme != "https" and url.hostname not in _LOOPBACK:
            raise ValueError(f"the issuer {self.issuer} must be https, or on this machine")

    @property
    def accepted(self) -> tuple[str, ...]:
        return self.audiences or (self.client_id,)


class Discovery(msgspec.Struct, frozen=True):
    """What we need of a provider's discovery document (OpenID Connect Discovery 1.0)."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    introspection_endpoint: str | None = None
    userinfo_endpoint: str | None = None


class RelyingParty(Protocol):
    """What a login needs of an identity provider."""

    settings: OidcSettings

    async def discovery(self) -> Discovery:
        """Its endpoints."""

    async def claims(self, token: str) -> dict[str, Any]:
        """What is known of the subject of a token that somebody came with. Unauthorized where it is not good, Unavailable
        where the provider does not answer."""

    async def by_code(self, code: str, redirect_uri: str, verifier: str, nonce: str) -> dict[str, Any]:
        """What is known of who has just logged in with a browser (OpenID Connect Core 3.1.3)."""


@dataclass(slots=True)
class _Kept:
    discovery: Discovery | None = None
    keys: Any = None
    fetched_at: float = 0.0


@dataclass(slots=True)
class Provider:
    """An identity provider somewhere else, with what has been read of it. See RelyingParty."""

    settings: OidcSettings
    clock: Clock
    _kept: _Kept = field(default_factory=_Kept)

    KEYS_FOR_SECONDS = 300.0
    AGAIN_AFTER_SECONDS = 10.0
    """An unknown key makes us look again, but no oftener: strangers choose what key a token names."""

    async def claims(self, token: str) -> dict[str, Any]:
        if token.count(".") == 2:
            claims = await self._verified(token)
            is_id_token = "scope" not in claims and "nonce" in claims
        else:
            claims, is_id_token = await self._introspected(token), False
        if not is_id_token and "openid" in _words(claims.get("scope")):
            claims = {**claims, **await self._userinfo(token, claims.get("sub"))}
        return {**claims, "iss": self.settings.issuer}

    async def by_code(self, code: str, redirect_uri: str, verifier: str, nonce: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        tokens = await self._exchanged(form)
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str):
            raise resolve.refuse("the identity provider gave no ID token")
        claims = await self._verified(id_token, for_client=True)
        if claims.get("nonce") != nonce:
            raise resolve.refuse("the ID token is an answer to something else")
        more = await self._userinfo(access_token, claims["sub"]) if isinstance(access_token, str) else {}
        return {**more, **claims}

    async def _verified(self, token: str, *, for_client: bool = False) -> dict[str, Any]:
        from joserfc import jwt
        from joserfc.errors import JoseError

        now = int(self.clock.now().timestamp())
        audience = [self.settings.client_id] if for_client else list(self.settings.accepted)
        registry = jwt.JWTClaimsRegistry(
            now=now,
            leeway=self.settings.leeway_seconds,
            iss={"essential": True, "value": self.settings.issuer},
            sub={"essential": True},
            aud={"essential": True, "values": audience},
            exp={"essential": True},
        )
        try:
            try:
                decoded = jwt.decode(token, await self._keys(), algorithms=ALGORITHMS)
            except (JoseError, ValueError):  # the provider may have changed its keys
                decoded = jwt.decode(token, await self._keys(again=True), algorithms=ALGORITHMS)
            registry.validate(decoded.claims)
        except (JoseError, ValueError, TypeError) as error:
            log.info("token refused", issuer=self.settings.issuer, reason=str(error))
            raise resolve.refuse(f"the token of {self.settings.issuer} is not good: {error}") from error
        return dict(decoded.claims)

    async def _introspected(self, token: str) -> dict[str, Any]:
        settings = self.settings
        endpoint = (await self.discovery()).introspection_endpoint
        if endpoint is None or settings.client_secret is None:
            raise resolve.refuse("the token is no JWT, and its provider can't be asked")
        claims = await self._json(
            "POST", endpoint, data={"token": token}, auth=(settings.client_id, settings.client_secret)
        )
        if claims.get("active") is not True:
            raise resolve.refuse("the provider says that the token is not active")
        if claims.get("iss", settings.issuer) != settings.issuer:
            raise resolve.refuse("the token is another issuer's")
        audience = claims.get("aud") or claims.get("client_id")
        named = [audience] if isinstance(audience, str) else audience if isinstance(audience, list) else []
        if not set(map(str, named)) & set(settings.accepted):
            raise resolve.refuse(f"the token is for {named}")
        return claims

    async def _userinfo(self, token: str, subject: Any) -> dict[str, Any]:
        endpoint = (await self.discovery()).userinfo_endpoint
        if endpoint is None:
            return {}
        found = await self._json("GET", endpoint, headers={"authorization": f"Bearer {token}"})
        if found.get("sub") != subject:
            raise resolve.refuse("userinfo speaks of somebody else than the token")
        return found

    async def discovery(self) -> Discovery:
        if self._kept.discovery is None:
            document = await self._json("GET", self.settings.issuer.rstrip("/") + WELL_KNOWN)
            try:
                found = msgspec.convert(document, Discovery)
            except msgspec.ValidationError as error:
                raise self._gone(f"its discovery document is none: {error}") from error
            if found.issuer != self.settings.issuer:
                raise self._gone(f"it calls itself {found.issuer}")
            self._kept.discovery = found
        return self._kept.discovery

    async def _keys(self, *, again: bool = False) -> Any:
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        age = self.clock.now().timestamp() - self._kept.fetched_at
        if self._kept.keys is None or age > (self.AGAIN_AFTER_SECONDS if again else self.KEYS_FOR_SECONDS):
            document = await self._json("GET", (await self.discovery()).jwks_uri)
            usable = [each for each in document.get("keys", ()) if each.get("use", "sig") == "sig"]
            try:
                self._kept.keys = KeySet.import_key_set({"keys": usable})
            except (JoseError, ValueError, KeyError) as error:
                raise self._gone(f"its keys can't be read: {error}") from error
            self._kept.fetched_at = self.clock.now().timestamp()
        return self._kept.keys

    async def _exchanged(self, form: Mapping[str, str]) -> dict[str, Any]:
        settings = self.settings
        endpoint = (await self.discovery()).token_endpoint
        if endpoint is None:
            raise self._gone("it has no token endpoint")
        if settings.client_secret is None:
            return await self._json("POST", endpoint, data={**form, "client_id": settings.client_id})
        auth = (settings.client_id, settings.client_secret)
        return await self._json("POST", endpoint, data=dict(form), auth=auth)

    async def _json(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        import httpx

        settings = self.settings
        verify: Any = True
        if settings.ca_file is not None:
            import ssl

            verify = ssl.create_default_context(cafile=settings.ca_file)
        try:
            async with httpx.AsyncClient(
                timeout=settings.timeout_seconds, verify=verify, trust_env=False
            ) as client:
                reply = await client.request(method, url, **more)
            if reply.status_code in (400, 401, 403):
                raise resolve.refuse(f"{url} answers {reply.status_code}")
            reply.raise_for_status()
            found = msgspec.json.decode(reply.content)
        except (httpx.HTTPError, msgspec.DecodeError, OSError) as error:
            raise self._gone(f"{url}: {error or type(error).__name__}") from error
        if not isinstance(found, dict):
            raise self._gone(f"{url} answers with no JSON object")
        return found

    def _gone(self, why: str) -> Unavailable:
        log.warning("identity provider does not answer", issuer=self.settings.issuer, reason=why)
        return Unavailable(f"The identity provider {self.settings.issuer} can't be asked: {why}.")


def _words(scope: Any) -> Sequence[str]:
    """Scopes as one text, or as a list (which some providers send)."""
    if isinstance(scope, str):
        return scope.split()
    return [str(each) for each in scope] if isinstance(scope, list) else ()


def assertion(claims: Mapping[str, Any]) -> dict[str, list[str]]:
    """Claims as attributes for mappings: each under its own name, and under the names that Apache's mod_auth_openidc gives
    it (`OIDC-email`, `HTTP_OIDC_EMAIL`), so that mappings which were written for that stay good."""
    found: dict[str, list[str]] = {}
    for name, value in claims.items():
        values = [_text(each) for each in (value if isinstance(value, list) else [value]) if each is not None]
        if values:
            found[name] = values
            found[f"OIDC-{name}"] = values
            found["HTTP_OIDC_" + name.upper().replace("-", "_")] = values
    return found


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
