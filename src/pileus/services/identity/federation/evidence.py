"""What in a request proves that an identity provider vouches for its sender, by the kind of the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pileus.kernel.api.call import Call
from pileus.kernel.errors import Unauthorized
from pileus.services.identity import resolve
from pileus.services.identity.authenticate.method import Attempt
from pileus.services.identity.federation import oidc
from pileus.services.identity.federation.login import Source
from pileus.services.identity.federation.mapping import Assertion
from pileus.services.identity.federation.oidc import RelyingParty
from pileus.services.identity.provider.own import NAME, OwnProvider
from pileus.services.identity.saml import trust
from pileus.services.identity.state import IdentityState


@dataclass(frozen=True, slots=True)
class Evidence:
    assertion: Assertion
    remote_id_attribute: str | None
    """The attribute in which the provider names itself."""


async def gather(attempt: Attempt, found: Source) -> Evidence:
    """Unauthorized where the request proves nothing."""
    issuer = attempt.state.saml.get(found.provider.id)
    if issuer is not None and found.protocol.id in issuer.settings.protocols:
        state, cookie = attempt.state, attempt.call.cookie(trust.COOKIE)
        session = trust.opened(state.keys, cookie, found.provider.id, state.clock.now())
        return Evidence(session.attributes, "Shib-Identity-Provider")
    provider = relying_party(attempt.state, attempt.call, found.provider.id, found.protocol.id)
    return evident(await provider.claims(_bearer(attempt.call.header("authorization"))))


def evident(claims: Mapping[str, Any]) -> Evidence:
    """OpenID Connect's claims as evidence."""
    return Evidence(oidc.assertion(claims), "iss")


def relying_party(state: IdentityState, call: Call, idp_id: str, protocol_id: str) -> RelyingParty:
    """For logins by OpenID Connect; Unauthorized where this provider and protocol are none of that."""
    provider: RelyingParty | None = state.oidc.get(idp_id)
    if provider is None and idp_id == NAME and state.settings.provider.enabled:
        provider = OwnProvider(state, f"{call.root_url}{call.runtime.service.root}/oidc")
    if provider is None or protocol_id not in provider.settings.protocols:
        raise Unauthorized(
            f"This cloud can't check what the identity provider {idp_id} says by the protocol {protocol_id}: there is no "
            f"setting identity.oidc.{idp_id} or identity.saml.{idp_id} for it."
        )
    return provider


def _bearer(header: str | None) -> str:
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise resolve.refuse("the request has no bearer token")
    return token.strip()
