"""The method `password`."""

from __future__ import annotations

import msgspec

from pileus.kernel.errors import BadRequest
from pileus.services.identity.authenticate.method import Attempt, Proof
from pileus.services.identity.authenticate.reference import UserRef, find_user
from pileus.services.identity.login import check_password


class _User(UserRef):
    password: str | None = None


class PasswordPart(msgspec.Struct):
    user: _User


class PasswordMethod:
    name = "password"
    part = PasswordPart

    async def prove(self, attempt: Attempt, part: PasswordPart) -> Proof:
        reference = part.user
        reference.check()
        if reference.password is None:
            raise BadRequest("The method password needs a password.")
        row = await check_password(attempt.state, lambda tx: find_user(tx, reference), reference.password)
        return Proof(user=row, methods=(self.name,))
