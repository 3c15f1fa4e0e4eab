"""The method `token`: a token for another scope. What limited the first limits the second."""

from __future__ import annotations

import msgspec

from pileus.kernel.errors import Forbidden, NotFound, Unauthorized
from pileus.services.identity import resolve
from pileus.services.identity.authenticate.method import Attempt, Proof


class TokenPart(msgspec.Struct):
    id: str


class TokenMethod:
    name = "token"
    part = TokenPart

    async def prove(self, attempt: Attempt, part: TokenPart) -> Proof:
        try:
            meaning = await attempt.state.meaning(part.id)
        except (Unauthorized, Forbidden) as error:  # upstream's status for a token that is none
            raise NotFound("Could not find token: it is not valid, or no longer.") from error
        claims = meaning.claims
        if resolve.is_delegated(claims):
            raise Forbidden(
                "A token got by a trust, an application credential, OAuth or an EC2 credential can't be "
                "exchanged for another; ask for a new one with what you got it by."
            )
        return Proof(
            user=meaning.user,
            methods=tuple(dict.fromkeys((*claims.methods, self.name))),
            expires_at=claims.expires_at,
            audit_chain_id=claims.audit_ids[-1],
            held_scope=claims.scope,
            claims=claims.limits(),
        )
