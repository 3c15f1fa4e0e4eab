"""The method `application_credential`: a user's program, with some of its roles on one project."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest
from pileus.services.identity.authenticate.method import Attempt, FoundScope, Proof
from pileus.services.identity.authenticate.reference import UserRef, find_user
from pileus.services.identity.delegation import refuse
from pileus.services.identity.store import application_credential, user


class ApplicationCredentialPart(msgspec.Struct):
    """By its id, or by its name and user."""

    secret: str
    id: str | None = None
    name: str | None = None
    user: UserRef | None = None


class ApplicationCredentialMethod:
    name = "application_credential"
    part = ApplicationCredentialPart

    async def prove(self, attempt: Attempt, part: ApplicationCredentialPart) -> Proof:
        state = attempt.state
        if part.id is None and (part.name is None or part.user is None):
            raise BadRequest("An application credential is named by its id, or by its name and user.")
        if part.user is not None:
            part.user.check()
        found, person = await state.db.read(_find, part)
        good = await state.passwords.verify(part.secret, None if found is None else found.secret_hash)
        if found is None or person is None or not good or not person.enabled:
            raise refuse("wrong application credential or secret")
        if application_credential.is_over(found, state.clock.now()):
            raise refuse(f"application credential {found.id} has expired")
        return Proof(
            user=person,
            methods=(self.name,),
            expires_at=found.expires_at,
            scope=FoundScope("project", found.project_id),
            claims={"application_credential_id": found.id},
        )


def _find(tx: Tx, part: ApplicationCredentialPart) -> tuple[Row[Any] | None, Row[Any] | None]:
    if part.id is not None:
        found = application_credential.get(tx, part.id)
    else:
        assert part.user is not None
        assert part.name is not None
        person = find_user(tx, part.user)
        found = None if person is None else application_credential.by_name(tx, person.id, part.name)
    return found, None if found is None else user.get(tx, found.user_id)
