"""The browser login, as the relying party of an identity provider: out with a sealed state, back with a code (OpenID Connect
Core 3.1, PKCE).

Nothing is stored in between: the state is sealed with the keys that tokens are sealed with, and a cookie ties it to the
browser that began.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlencode, urlsplit

import msgspec

from pileus.services.identity import resolve
from pileus.services.identity.federation.oidc import RelyingParty
from pileus.services.identity.keys import KeyFolder

COOKIE = "pileus-websso"
PATIENCE = timedelta(minutes=10)
_MARK = b"websso:"
"""Tells a sealed state from a sealed token."""


class Begun(msgspec.Struct, frozen=True, array_like=True):
    """A login on its way through the identity provider."""

    idp_id: str
    protocol_id: str
    origin: str
    nonce: str
    verifier: str
    cookie_hash: bytes
    begun_at: datetime


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Begun).decode


def lower_host(url: str) -> str:
    """The URL with its host as it is compared: in lower case."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.lower()).geturl()


def random_text() -> str:
    """43 characters of randomness."""
    return base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()


async def begin(
    provider: RelyingParty,
    keys: KeyFolder,
    now: datetime,
    *,
    idp_id: str,
    protocol_id: str,
    origin: str,
    redirect_uri: str,
) -> tuple[str, str]:
    """Where to send the browser, and the cookie to give it."""
    endpoint = (await provider.discovery()).authorization_endpoint
    if endpoint is None:
        raise resolve.refuse("the identity provider has no browser login")
    cookie = random_text()
    begun = Begun(
        idp_id,
        protocol_id,
        origin,
        random_text(),
        random_text(),
        hashlib.sha256(cookie.encode()).digest(),
        now,
    )
    challenge = hashlib.sha256(begun.verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": provider.settings.client_id,
        "redirect_uri": redirect_uri,
        "scope": provider.settings.scope,
        "state": keys.encrypt(_MARK + _encode(begun)).rstrip(b"=").decode(),
        "nonce": begun.nonce,
        "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}", cookie


def resume(keys: KeyFolder, now: datetime, state: str, cookie: str) -> Begun:
    """The login that comes back; Unauthorized where this browser began none, or too long ago."""
    sealed = state.encode("ascii", "replace")
    payload = keys.decrypt(sealed + b"=" * (-len(sealed) % 4))
    if payload is None or not payload.startswith(_MARK):
        raise resolve.refuse("the state is none of ours")
    begun = _decode(payload.removeprefix(_MARK))
    if not hmac.compare_digest(hashlib.sha256(cookie.encode()).digest(), begun.cookie_hash):
        raise resolve.refuse("another browser began this login")
    if now > begun.begun_at + PATIENCE:
        raise resolve.refuse("the login took too long")
    return begun


_SUBMIT = "document.forms[0].submit()"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


def headers(form_action: str = "'self'") -> dict[str, str]:
    """Of a page that holds a secret, or asks for one."""
    digest = base64.b64encode(hashlib.sha256(_SUBMIT.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; form-action {form_action}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    return {
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-store",
        "content-security-policy": policy,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }


def handed_over(origin: str, token: str) -> str:
    """A page that posts the token to the dashboard: by itself, or by its button where scripts are off."""
    body = (
        f'<form action="{html.escape(origin)}" method="post">'
        f'<input type="hidden" name="token" value="{html.escape(token)}">'
        f'<button type="submit">Continue</button></form><script>{_SUBMIT}</script>'
    )
    return _PAGE.format(title="Logged in", body=body)


def choice(links: Mapping[str, str]) -> str:
    """A page that asks which identity provider it shall be."""
    items = "".join(
        f'<li><a href="{html.escape(url)}">{html.escape(name)}</a></li>' for name, url in links.items()
    )
    return _PAGE.format(title="Log in with", body=f"<ul>{items}</ul>")
