"""What the provider can do, and its keys."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.services.identity.api.provider.common import PREFIX, issuer, state_of
from pileus.services.identity.provider.issuing import SCOPES

routes = Routes(root=True)
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class Provider(msgspec.Struct, kw_only=True):
    """What it says of itself (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str
    device_authorization_endpoint: str
    jwks_uri: str
    scopes_supported: list[str]
    response_types_supported: list[str]
    response_modes_supported: list[str]
    grant_types_supported: list[str]
    subject_types_supported: list[str]
    id_token_signing_alg_values_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    code_challenge_methods_supported: list[str]
    authorization_response_iss_parameter_supported: bool
    claims_supported: list[str]


class KeySet(msgspec.Struct):
    """RFC 7517, section 5."""

    keys: list[dict[str, Any]]


@routes.add("GET", f"{PREFIX}/.well-known/openid-configuration", policy=ANYONE)
async def discovery(call: Call) -> Provider:
    """OpenID Connect Discovery 1.0."""
    state_of(call)
    base = issuer(call)
    return Provider(
        issuer=base,
        authorization_endpoint=f"{base}/authorize",
        token_endpoint=f"{base}/token",
        userinfo_endpoint=f"{base}/userinfo",
        device_authorization_endpoint=f"{base}/device_authorization",
        jwks_uri=f"{base}/jwks",
        scopes_supported=list(SCOPES),
        response_types_supported=["code"],
        response_modes_supported=["query"],
        grant_types_supported=["authorization_code", DEVICE_GRANT],
        subject_types_supported=["public"],
        id_token_signing_alg_values_supported=["RS256"],
        token_endpoint_auth_methods_supported=["none", "client_secret_basic", "client_secret_post"],
        code_challenge_methods_supported=["S256"],
        authorization_response_iss_parameter_supported=True,
        claims_supported=["sub", "name", "preferred_username", "domain_id", "email", "groups"],
    )


@routes.add("GET", f"{PREFIX}/jwks", policy=ANYONE)
async def jwks(call: Call) -> KeySet:
    """The keys that its tokens are signed with."""
    return KeySet(await asyncio.to_thread(state_of(call).signer.public))
