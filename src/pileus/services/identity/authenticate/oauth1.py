"""The method `oauth1`: a request for a token that is signed with an access token."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest
from pileus.services.identity import oauth1_signature
from pileus.services.identity.authenticate.method import Attempt, FoundScope, Proof
from pileus.services.identity.delegation import refuse
from pileus.services.identity.store import oauth, user


class Oauth1Method:
    name = "oauth1"
    part: Any = dict[str, Any]

    async def prove(self, attempt: Attempt, part: dict[str, Any]) -> Proof:
        signed = oauth1_signature.parameters(attempt.call)
        if signed.token_id is None:
            raise BadRequest("The Authorization header has no oauth_token.")
        token, person = await attempt.state.db.write(_check, attempt, signed)
        return Proof(
            user=person,
            methods=(self.name,),
            expires_at=token.expires_at,
            scope=FoundScope("project", token.project_id),
            claims={"access_token_id": token.id},
        )


def _check(tx: Tx, attempt: Attempt, signed: oauth1_signature.Signed) -> tuple[Row[Any], Row[Any]]:
    token, consumer = oauth.get_access_token(tx, signed.token_id), oauth.get_consumer(tx, signed.consumer_id)
    if token is None or consumer is None or token.consumer_id != consumer.id or oauth.is_over(token, tx.now):
        raise refuse("the access token is gone, has expired, or is another consumer's")
    keys = attempt.state.credential_keys
    secrets = [keys.decrypt(row.encrypted_secret.encode()) for row in (consumer, token)]
    oauth1_signature.check(tx, attempt.call, signed, *((each or b"").decode() for each in secrets))
    person = user.get(tx, token.authorizing_user_id)
    if person is None:
        raise refuse("the authorizing user is gone")
    return token, person
