"""The method `password`."""

from __future__ import annotations

import msgspec

from pileus.kernel.errors import BadRequest, Unauthorized
from pileus.services.identity import resolve
from pileus.services.identity.authenticate.method import Attempt, Proof
from pileus.services.identity.authenticate.reference import UserRef, find_user
from pileus.services.identity.passwords import verify_password


class _User(UserRef):
    password: str | None = None


class PasswordPart(msgspec.Struct):
    user: _User


class PasswordMethod:
    name = "password"
    part = PasswordPart

    async def prove(self, attempt: Attempt, part: PasswordPart) -> Proof:
        state, reference = attempt.state, part.user
        reference.check()
        if reference.password is None:
            raise BadRequest("The method password needs a password.")
        row = await state.db.read(find_user, reference)
        good = await verify_password(reference.password, None if row is None else row.password_hash)
        if row is None or not good or not row.enabled:
            raise resolve.refuse("wrong user or password")
        if row.password_expires_at is not None and row.password_expires_at <= state.clock.now():
            raise Unauthorized(f"The password is expired and needs to be changed for user: {row.id}.")
        return Proof(user=row, methods=(self.name,))
