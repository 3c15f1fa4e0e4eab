"""What the provider can do, and its keys."""

from __future__ import annotations

import asyncio
from typing import Any

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.services.identity.api.provider.common import PREFIX, issuer, state_of
from pileus.services.identity.provider.issuing import SCOPES

routes = Routes(root=True)
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@routes.add("GET", f"{PREFIX}/.well-known/openid-configuration", policy=ANYONE)
async def discovery(call: Call) -> dict[str, Any]:
    """OpenID Connect Discovery 1.0."""
    state_of(call)
    base = issuer(call)
    return {
        "issuer": base,
        "authorization_endpoint": f"{base}/authorize",
        "token_endpoint": f"{base}/token",
        "userinfo_endpoint": f"{base}/userinfo",
        "device_authorization_endpoint": f"{base}/device_authorization",
        "jwks_uri": f"{base}/jwks",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", DEVICE_GRANT],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "claims_supported": ["sub", "name", "preferred_username", "domain_id", "email", "groups"],
    }


@routes.add("GET", f"{PREFIX}/jwks", policy=ANYONE)
async def jwks(call: Call) -> dict[str, Any]:
    """The keys that its tokens are signed with."""
    return await asyncio.to_thread(state_of(call).signer.public)
