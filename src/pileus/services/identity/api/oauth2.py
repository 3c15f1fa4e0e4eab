"""OAuth 2.0 client credentials (RFC 6749, section 4.4): the client is an application credential, or a user with a
client certificate, to which its token is bound (RFC 8705)."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import parse_qs

import msgspec

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.errors import ApiError
from pileus.kernel.http.front_proxy import thumbprint
from pileus.kernel.http.reply import Reply
from pileus.services.identity.api.auth import SUBJECT, issued
from pileus.services.identity.authenticate import admit, receipt
from pileus.services.identity.authenticate.application_credential import (
    ApplicationCredentialMethod,
    ApplicationCredentialPart,
)
from pileus.services.identity.authenticate.certificate import owner
from pileus.services.identity.authenticate.method import Attempt, FoundScope, Proof
from pileus.services.identity.delegation import refuse

routes = Routes()
_UNCACHED = {"cache-control": "no-store", "pragma": "no-cache"}


class AccessTokenAnswer(msgspec.Struct):
    """RFC 6749, section 5.1."""

    access_token: str
    token_type: str
    expires_in: int


@routes.add("POST", "/OS-OAUTH2/token", policy=ANYONE, raw=True, answers=AccessTokenAnswer)
async def token(call: Call) -> Reply:
    """An access token for a program; it is a token as any other, for `Authorization: Bearer` or `X-Auth-Token`."""
    try:
        form = parse_qs((await call.body()).decode("ascii"), max_num_fields=100)
    except ValueError:
        return _refused(400, "invalid_request", "The body is no form.")
    grant = form.get("grant_type", [None])[-1]
    if grant is None:
        return _refused(400, "invalid_request", "The parameter grant_type is required.")
    if grant != "client_credentials":
        return _refused(400, "unsupported_grant_type", f"The parameter grant_type {grant} is not supported.")
    client_id, secret = _basic(call) or (
        form.get("client_id", [None])[-1],
        form.get("client_secret", [None])[-1],
    )
    attempt = Attempt(call.runtime.state, call)
    try:
        claims = await admit(attempt, await _proof(attempt, client_id or "", secret), None)
        made = (await issued(call, claims)).headers[SUBJECT]
    except (ApiError, receipt.MoreNeeded):
        return _refused(401, "invalid_client", "Client authentication failed.")
    seconds = int((claims.expires_at - claims.issued_at).total_seconds())
    body = AccessTokenAnswer(made, "Bearer", seconds)
    return Reply.json(body, 200, dict(_UNCACHED))


async def _proof(attempt: Attempt, client_id: str, secret: str | None) -> Proof:
    """By the secret of an application credential, or by the certificate of a user that came with the request."""
    settings = attempt.state.settings.oauth2
    certificate = attempt.call.runtime.front_proxy.certificate(attempt.call.scope)
    if "\0" in client_id:
        raise refuse("no such client")
    if secret and "client_secret_basic" in settings.oauth2_authn_methods:
        part = ApplicationCredentialPart(id=client_id, secret=secret)
        proof = await ApplicationCredentialMethod().prove(attempt, part)
        receipt.check(attempt, proof, frozenset({ApplicationCredentialMethod.name}))
        return proof
    if secret or certificate is None or "tls_client_auth" not in settings.oauth2_authn_methods:
        raise refuse("the client shows nothing that this cloud goes by")
    mapping_id = settings.oauth2_cert_dn_mapping_id
    person = await attempt.state.db.read(owner, client_id, certificate, mapping_id)
    if person.default_project_id is None:
        raise refuse(f"user {person.id} has no default project")
    return Proof(
        user=person,
        methods=("oauth2_credential",),
        scope=FoundScope("project", person.default_project_id),
        claims={"thumbprint": thumbprint(certificate)},
    )


def _basic(call: Call) -> tuple[str, str] | None:
    """Client and secret of `Authorization: Basic …`."""
    kind, _, encoded = (call.header("authorization") or "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        client_id, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (client_id, secret) if colon else None


def _refused(status: int, error: str, why: str) -> Reply:
    headers: dict[str, Any] = dict(_UNCACHED)
    if status == 401:
        headers["www-authenticate"] = 'Basic realm="identity"'
    return Reply.json({"error": error, "error_description": why}, status, headers)
