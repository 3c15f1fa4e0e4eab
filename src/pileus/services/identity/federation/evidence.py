"""What in a request proves that an identity provider vouches for its sender, by the kind of the protocol."""

from __future__ import annotations

from dataclasses import dataclass

from pileus.kernel.errors import Unauthorized
from pileus.services.identity import resolve
from pileus.services.identity.authenticate.method import Attempt
from pileus.services.identity.federation import oidc
from pileus.services.identity.federation.login import Source
from pileus.services.identity.federation.mapping import Assertion


@dataclass(frozen=True, slots=True)
class Evidence:
    assertion: Assertion
    remote_id_attribute: str | None
    """The attribute in which the provider names itself."""


async def gather(attempt: Attempt, found: Source) -> Evidence:
    """Unauthorized where the request proves nothing."""
    provider = attempt.state.oidc.get(found.provider.id)
    if provider is not None and found.protocol.id in provider.settings.protocols:
        token = _bearer(attempt.call.header("authorization"))
        return Evidence(oidc.assertion(await provider.claims(token)), "iss")
    raise Unauthorized(
        f"This cloud can't check what the identity provider {found.provider.id} says by the protocol "
        f"{found.protocol.id}: there is no setting identity.oidc.{found.provider.id} for it."
    )


def _bearer(header: str | None) -> str:
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise resolve.refuse("the request has no bearer token")
    return token.strip()
