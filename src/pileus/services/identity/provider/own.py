"""The cloud as a relying party of its own provider: no request over the network, no settings."""

from __future__ import annotations

import asyncio
from typing import Any

from pileus.kernel.db import Tx
from pileus.services.identity import resolve
from pileus.services.identity.federation.oidc import Discovery, OidcSettings
from pileus.services.identity.provider import grant
from pileus.services.identity.provider.grant import Request
from pileus.services.identity.provider.issuing import CLI, CONSOLE, proves, subject
from pileus.services.identity.state import IdentityState

NAME = "pileus"
"""The id of the identity provider, and of its mapping, that every cloud has for this."""
ALL = "openid profile email groups"


def redeem(
    tx: Tx, client_id: str, code: str, *, device: bool, redirect_uri: str | None, verifier: str
) -> tuple[dict[str, Any], Request] | str:
    """What a code is good for, once: the user's claims and what was asked for; else the error (RFC 6749 5.2, RFC 8628 3.5)."""
    row = grant.find(tx, code)
    if row is None or row.client_id != client_id or (row.user_code is not None) is not device:
        return "expired_token" if device else "invalid_grant"
    if row.user_id is None:
        return "authorization_pending"
    request = grant.request_of(row)
    if not grant.take(tx, row) or (not device and redirect_uri != request.redirect_uri):
        return "invalid_grant"
    if request.challenge is not None and not proves(verifier, request.challenge):
        return "invalid_grant"
    claims = subject(tx, row.user_id, request.scope)
    return "invalid_grant" if claims is None else (claims, request)


class OwnProvider:
    """See `pileus.services.identity.federation.oidc.Provider`."""

    def __init__(self, state: IdentityState, issuer: str) -> None:
        self.settings = OidcSettings(issuer="http://localhost", client_id=CONSOLE, scope=ALL)
        self._state = state
        self._issuer = issuer

    async def discovery(self) -> Discovery:
        return Discovery(self._issuer, f"{self._issuer}/jwks", f"{self._issuer}/authorize")

    async def claims(self, token: str) -> dict[str, Any]:
        """For tokens of the cloud's own clients; another application's is no way in here."""
        found = await asyncio.to_thread(self._state.signer.opened, token)
        if found is None or found.get("aud") not in (CLI, CONSOLE):
            raise resolve.refuse("the token is none of ours, or for another application")
        shown = await self._state.db.read(subject, str(found["sub"]), ALL)
        if shown is None:
            raise resolve.refuse("the user is gone or disabled")
        return {**shown, "iss": self._issuer}

    async def by_code(self, code: str, redirect_uri: str, verifier: str, nonce: str) -> dict[str, Any]:
        found = await self._state.db.write(self._redeem, code, redirect_uri, verifier)
        if isinstance(found, str) or found[1].nonce != nonce:
            raise resolve.refuse("the code is not good")
        return {**found[0], "iss": self._issuer}

    def _redeem(
        self, tx: Tx, code: str, redirect_uri: str, verifier: str
    ) -> tuple[dict[str, Any], Request] | str:
        return redeem(tx, CONSOLE, code, device=False, redirect_uri=redirect_uri, verifier=verifier)
