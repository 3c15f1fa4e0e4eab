"""The method `totp`: passcodes by the time (RFC 6238), from secrets that are kept as credentials of that type."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Any

import msgspec
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from sqlalchemy import Row

from pileus.kernel.db import Tx
from pileus.services.identity.authenticate.method import Attempt, Proof
from pileus.services.identity.authenticate.reference import UserRef, find_user
from pileus.services.identity.login import check_account
from pileus.services.identity.state import IdentityState
from pileus.services.identity.store import credential, seen

DIGITS, WINDOW_SECONDS = 6, 30
_NOBODYS = base64.b32encode(bytes(20)).decode()


class _User(UserRef):
    passcode: str = ""


class TotpPart(msgspec.Struct):
    user: _User


class TotpMethod:
    name = "totp"
    part = TotpPart

    async def prove(self, attempt: Attempt, part: TotpPart) -> Proof:
        state, reference = attempt.state, part.user
        reference.check()

        async def is_its(row: Row[Any] | None) -> bool:
            return await _is_its(state, row, reference.passcode)

        row = await check_account(state, lambda tx: find_user(tx, reference), is_its)
        return Proof(user=row, methods=(self.name,))


async def _is_its(state: IdentityState, row: Row[Any] | None, passcode: str) -> bool:
    """Whether one of the user's secrets makes this passcode now, for the first time."""
    user_id = "" if row is None else row.id
    kept = await state.db.read(credential.of_user, user_id, credential.TOTP)
    secrets = [(each.id, state.credential_keys.decrypt(each.encrypted_blob.encode())) for each in kept]
    present = int(state.clock.now().timestamp()) // WINDOW_SECONDS
    found: tuple[str, int] | None = None
    for key, secret in secrets or [("", _NOBODYS.encode())]:
        for window in range(present - state.settings.totp_included_previous_windows, present + 1):
            made = passcode_at((secret or b"").decode(), window)
            if made is not None and hmac.compare_digest(made.encode(), passcode.encode()) and secrets:
                found = (key, window)
    return found is not None and await state.db.write(_first_time, *found)


def _first_time(tx: Tx, key: str, window: int) -> bool:
    return seen.first_time(tx, key, "totp", window)


def passcode_at(secret: str, window: int) -> str | None:
    """The passcode of a secret (base32, with or without padding) in a window of time; None where it is no secret."""
    try:
        raw = base64.b32decode(secret.upper() + "=" * (-len(secret) % 8))
    except (binascii.Error, ValueError):
        return None
    if not raw:
        return None
    totp = TOTP(raw, DIGITS, SHA1(), WINDOW_SECONDS, enforce_key_length=False)
    return totp.generate(window * WINDOW_SECONDS).decode()
