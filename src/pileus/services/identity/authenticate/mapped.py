"""The method `mapped`: an identity provider vouches for somebody. `openid` and `saml2` are other names of it.

Its part names the provider and the protocol; the proof is in the request itself. With the `id` of a token that was got so
it is what the method `token` is, which old clients do not use for this.
"""

from __future__ import annotations

import msgspec

from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest
from pileus.services.identity.authenticate.method import Attempt, Proof
from pileus.services.identity.authenticate.token import TokenMethod, TokenPart
from pileus.services.identity.federation import evidence, login
from pileus.services.identity.federation.evidence import Evidence


class MappedPart(msgspec.Struct):
    identity_provider: str | None = None
    protocol: str | None = None
    id: str | None = None


class MappedMethod:
    part = MappedPart

    def __init__(self, name: str) -> None:
        self.name = name

    async def prove(self, attempt: Attempt, part: MappedPart) -> Proof:
        if part.id is not None:
            return await TokenMethod().prove(attempt, TokenPart(part.id))
        if part.identity_provider is None or part.protocol is None:
            raise BadRequest(
                f"The method {self.name} needs an identity_provider and a protocol, or a token's id."
            )
        return await vouched(attempt, part.identity_provider, part.protocol)


async def vouched(attempt: Attempt, idp_id: str, protocol_id: str) -> Proof:
    """Who sent the request, by what it holds of the identity provider."""
    found = await attempt.state.db.read(login.source, idp_id, protocol_id)
    return await accepted(attempt, found, await evidence.gather(attempt, found))


async def accepted(attempt: Attempt, found: login.Source, proven: Evidence) -> Proof:
    """The user that the evidence is about."""
    return await attempt.state.db.write(_accept, attempt, found, proven)


def _accept(tx: Tx, attempt: Attempt, found: login.Source, proven: Evidence) -> Proof:
    login.check_remote_id(found, proven.assertion, proven.remote_id_attribute)
    person, federated = login.sign_in(tx, found, proven.assertion, attempt.state.revision.move)
    claims = {} if federated is None else {"federated": federated}
    return Proof(user=person, methods=(found.protocol.id,), claims=claims)
