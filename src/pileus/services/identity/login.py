"""Proving who one is by something secret, with all that an account's rules say about it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import Row

from pileus.kernel.db import Tx
from pileus.kernel.errors import Unauthorized
from pileus.services.identity import account, resolve
from pileus.services.identity.model import LDAP
from pileus.services.identity.state import IdentityState
from pileus.services.identity.store import password as store
from pileus.services.identity.store import user

Find = Callable[[Tx], Row[Any] | None]
Prove = Callable[[Row[Any] | None], Awaitable[bool]]
_ACTIVITY_GRAIN = timedelta(hours=1)
"""How exactly it is known when a user came last; a write at each login would cost more than that is worth."""


async def check_password(
    state: IdentityState, find: Find, password: str, *, expired_will_do: bool = False
) -> Row[Any]:
    """The user that `find` finds, if this is its password and its account is in order; see `check_account`.

    Only who knows the password hears that it has expired.
    """

    async def is_its(row: Row[Any] | None) -> bool:
        return await _is_password(state, row, password)

    row = await check_account(state, find, is_its)
    if account.is_expired(row, state.clock.now()) and not expired_will_do:
        raise Unauthorized(f"The password is expired and needs to be changed for user: {row.id}.")
    return row


async def check_account(state: IdentityState, find: Find, prove: Prove) -> Row[Any]:
    """The user that `find` finds, if `prove` says that it is this one, and its account is in order.

    Unauthorized otherwise: in the same words and after the same time whether there is such a user or not, is locked
    out, disabled or proves nothing; for that, `prove` is to take as long without a user. Failures count towards a lock.
    """
    rules, now = state.settings.security_compliance, state.clock.now()
    row = await state.db.read(find)
    good = await prove(row)
    if rules.lockout_failure_attempts is not None:
        # Failures are counted after their answer, or the count would tell by its time that there is such a user.
        await state.settle_failures()
        row = await state.db.read(find)
    if row is None:
        raise resolve.refuse("no such user")
    if account.is_locked(rules, row, now):
        raise resolve.refuse(f"user {row.id} is locked out after {row.failed_auth_count} failures")
    if not good:
        if account.counts_failures(rules, row):
            state.begin_failure(asyncio.ensure_future(_count_failure(state, row)))
        raise resolve.refuse(f"wrong password or passcode of user {row.id}")
    if not row.enabled or account.is_lapsed(rules, row, now):
        raise resolve.refuse(f"user {row.id} is disabled")
    if row.failed_auth_count:
        await state.db.write(store.forget_failures, row.id)
    return row


async def _is_password(state: IdentityState, row: Row[Any] | None, password: str) -> bool:
    """Takes the time of a hash also where a directory is asked, or nobody is. The directory is asked meanwhile: asked
    afterwards, its answer's time on top would tell who is in it."""
    hashing = state.passwords.verify(password, None if row is None else row.password_hash)
    if row is None or row.origin != LDAP:
        return await hashing
    _, good = await asyncio.gather(hashing, state.directories.is_password(row, password))
    return good


async def _count_failure(state: IdentityState, row: Row[Any]) -> None:
    await state.db.write(_record, state, row)


def _record(tx: Tx, state: IdentityState, row: Row[Any]) -> None:
    rules = state.settings.security_compliance
    most, present = rules.lockout_failure_attempts, user.get(tx, row.id)
    if present is None or most is None:
        return
    if present.failed_auth_count >= most and not account.is_locked(rules, present, tx.now):
        store.forget_failures(tx, row.id)  # the lock has run out: counting starts anew
    store.record_failure(tx, row.id)


async def note_activity(state: IdentityState, row: Row[Any]) -> None:
    """Remembers that the user came, where settings ask for it. Unauthorized where it stayed away for too long."""
    rules, now = state.settings.security_compliance, state.clock.now()
    if rules.disable_user_account_days_inactive is None:
        return
    if account.is_lapsed(rules, row, now):
        raise resolve.refuse(f"user {row.id} has been away for too long")
    if row.last_active_at is None or now - row.last_active_at > _ACTIVITY_GRAIN:
        await state.db.write(store.record_activity, row.id)
