"""Codes for tokens, and what a token shows of its user."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import Unauthorized
from pileus.kernel.http.reply import Reply
from pileus.services.identity.api.provider.common import (
    PREFIX,
    asked_by_client,
    issuer,
    oauth_error,
    state_of,
)
from pileus.services.identity.api.provider.discovery import DEVICE_GRANT
from pileus.services.identity.provider.grant import Request
from pileus.services.identity.provider.issuing import LIFE_SECONDS, subject
from pileus.services.identity.provider.own import redeem

routes = Routes(root=True)
_GRANTS = {"authorization_code": "code", DEVICE_GRANT: "device_code"}


class Tokens(msgspec.Struct):
    """OpenID Connect Core 1.0, section 3.1.3.3."""

    access_token: str
    id_token: str
    token_type: str
    expires_in: int
    scope: str


class Person(msgspec.Struct):
    """What a token's scope shows of its user (OpenID Connect Core 1.0, section 5.3)."""

    sub: str
    name: str | UnsetType = UNSET
    preferred_username: str | UnsetType = UNSET
    domain_id: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    groups: list[str] | UnsetType = UNSET


@routes.add("POST", f"{PREFIX}/token", policy=ANYONE, raw=True, answers=Tokens)
async def token(call: Call) -> Reply:
    """Exchanges a code for an ID token and an access token."""
    asked = await asked_by_client(call)
    if isinstance(asked, Reply):
        return asked
    client_id, fields = asked
    kind = fields.get("grant_type", "")
    if kind not in _GRANTS:
        return oauth_error("unsupported_grant_type", f"the grant types are {', '.join(_GRANTS)}")
    taken = await state_of(call).db.write(_redeem, client_id, kind, fields)
    if isinstance(taken, str):
        return oauth_error(taken, "the code is not good (any more), or is another client's")
    tokens = await asyncio.to_thread(issue, call, client_id, *taken)
    return Reply.json(tokens, 200, {"cache-control": "no-store"})


def _redeem(
    tx: Tx, client_id: str, kind: str, fields: dict[str, str]
) -> tuple[dict[str, Any], Request] | str:
    return redeem(
        tx,
        client_id,
        fields.get(_GRANTS[kind], ""),
        device=kind == DEVICE_GRANT,
        redirect_uri=fields.get("redirect_uri"),
        verifier=fields.get("code_verifier", ""),
    )


def issue(call: Call, client_id: str, claims: dict[str, Any], request: Request) -> Tokens:
    """The tokens; takes a millisecond of signing."""
    signer, name = state_of(call).signer, issuer(call)
    nonce = {} if request.nonce is None else {"nonce": request.nonce}
    access = {"sub": claims["sub"], "client_id": client_id, "scope": request.scope}
    return Tokens(
        access_token=signer.sign(name, client_id, access, "at+jwt"),
        id_token=signer.sign(name, client_id, {**claims, **nonce}),
        token_type="Bearer",
        expires_in=LIFE_SECONDS,
        scope=request.scope,
    )


@routes.add("GET", f"{PREFIX}/userinfo", policy=ANYONE)
@routes.add("POST", f"{PREFIX}/userinfo", policy=ANYONE, raw=True)
async def userinfo(call: Call) -> Person:
    """What an access token shows of its user."""
    state = state_of(call)
    scheme, _, sent = (call.header("authorization") or "").partition(" ")
    claims = (
        await asyncio.to_thread(state.signer.opened, sent.strip()) if scheme.lower() == "bearer" else None
    )
    if claims is None or claims["typ"] != "at+jwt":
        raise Unauthorized("The access token is none of ours, or has expired.")
    shown = await state.db.read(subject, str(claims["sub"]), str(claims.get("scope", "")))
    if shown is None:
        raise Unauthorized("The user of the access token is gone or disabled.")
    return Person(**shown)
