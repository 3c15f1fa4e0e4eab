"""A user sets its own password, with the old one as the only proof; somebody voids a user's tokens."""

from __future__ import annotations

from typing import Annotated

import msgspec
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Forbidden, Unauthorized
from pileus.services.identity import account
from pileus.services.identity.api.common import changed
from pileus.services.identity.login import check_password
from pileus.services.identity.model import LDAP
from pileus.services.identity.state import IdentityState
from pileus.services.identity.store import password as store
from pileus.services.identity.store import user

routes = Routes()
Password = Annotated[str, msgspec.Meta(max_length=4096)]


class _Change(msgspec.Struct):
    original_password: Password
    password: Password


class PasswordChange(msgspec.Struct):
    """The body of `POST /v3/users/{id}/password`."""

    user: _Change


@routes.add("POST", "/users/{user_id}/password", policy=ANYONE, status=204, body=PasswordChange)
async def change_password(call: Call, body: PasswordChange) -> None:
    """A user sets its own password. The old one is the proof, no token is needed. It voids the user's tokens."""
    state: IdentityState = call.runtime.state
    settings, wanted = state.settings, body.user
    user_id = call.params["user_id"]
    try:
        row = await check_password(
            state, lambda tx: user.get(tx, user_id), wanted.original_password, expired_will_do=True
        )
    except Unauthorized as error:
        raise Unauthorized("The original password does not match.") from error
    if row.origin == LDAP:
        raise Forbidden("The password is in a directory (LDAP): change it there.")
    if row.options.get("lock_password"):
        raise BadRequest("This password is locked: ask an administrator to set another.")
    account.check_age(settings.security_compliance, row, state.clock.now())
    account.check_strength(settings, wanted.password)
    if wanted.password == wanted.original_password:
        raise BadRequest("The new password must differ from the old one.")
    await _check_history(state, row, wanted.password)
    await state.db.write(_set_password, call, row, await state.passwords.hash(wanted.password))


async def _check_history(state: IdentityState, row: Row[tuple[object, ...]], wanted: str) -> None:
    count = state.settings.security_compliance.unique_last_password_count
    for digest in await state.db.read(store.last, row, count):
        if await state.passwords.verify(wanted, digest):
            raise BadRequest(f"The new password must be none of the last {count} that were used.")


def _set_password(tx: Tx, call: Call, row: Row[tuple[object, ...]], digest: str) -> None:
    put_password(tx, call, row, digest, self_service=True)
    user.revoke(tx, user_id=row.id)
    changed(call, tx)


def put_password(
    tx: Tx, call: Call, row: Row[tuple[object, ...]], digest: str, *, self_service: bool
) -> None:
    """Sets a password under the rules of the cloud for how long it is good."""
    rules = call.runtime.state.settings.security_compliance
    expires_at = account.expiry(rules, row.options, tx.now, self_service=self_service)
    kept = max(0, rules.unique_last_password_count - 1)
    store.replace(tx, row, digest, expires_at, self_service=self_service, kept=kept)
