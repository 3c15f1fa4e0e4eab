"""Authorization codes and device codes in tables: made, approved, taken once."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import Row, bindparam, select

from pileus.kernel.db import Tx
from pileus.services.identity.provider.model import grants

CODE_LIFE = timedelta(minutes=1)
DEVICE_LIFE = timedelta(minutes=10)
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so no words; nothing that looks like something else (RFC 8628, 6.1)."""
_GET = select(grants).where(
    grants.c.id == bindparam("id"), grants.c.expires_at > bindparam("now", type_=grants.c.expires_at.type)
)
_BY_USER_CODE = select(grants).where(
    grants.c.user_code == bindparam("user_code"),
    grants.c.user_id.is_(None),
    grants.c.expires_at > bindparam("now", type_=grants.c.expires_at.type),
)


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a client asked for."""

    scope: str = "openid"
    redirect_uri: str | None = None
    nonce: str | None = None
    challenge: str | None = None
    """PKCE, S256."""


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def request_of(row: Row[Any]) -> Request:
    return msgspec.convert(row.request, Request)


def code(tx: Tx, client_id: str, user_id: str, request: Request) -> str:
    """A code for a user who has logged in."""
    found = secrets.token_urlsafe(32)
    _insert(tx, found, client_id, request, CODE_LIFE, user_id=user_id)
    return found


def device(tx: Tx, client_id: str, request: Request) -> tuple[str, str]:
    """A code for a device, and the one that a user types in for it."""
    found = secrets.token_urlsafe(32)
    letters = [secrets.choice(_LETTERS) for _ in range(8)]
    user_code = "".join([*letters[:4], "-", *letters[4:]])
    _insert(tx, found, client_id, request, DEVICE_LIFE, user_code=user_code)
    return found, user_code


def _insert(tx: Tx, code: str, client_id: str, request: Request, life: timedelta, **more: Any) -> None:
    tx.execute(grants.delete().where(grants.c.expires_at <= tx.now))
    values = {"id": _digest(code), "client_id": client_id, "expires_at": tx.now + life}
    rest = {"user_id": None, "user_code": None, "request": msgspec.to_builtins(request)}
    tx.execute(grants.insert(), {**values, **rest, **more})


def find(tx: Tx, code: str) -> Row[Any] | None:
    """The grant of a code that is still good."""
    return tx.row(_GET, id=_digest(code), now=tx.now)


def waiting(tx: Tx, user_code: str) -> Row[Any] | None:
    """The device that shows this code and waits."""
    return tx.row(_BY_USER_CODE, user_code=tidy(user_code), now=tx.now)


def tidy(user_code: str) -> str:
    """As it was shown, however it was typed in."""
    letters = "".join(each for each in user_code.upper() if each in _LETTERS)[:8]
    return f"{letters[:4]}-{letters[4:]}"


def approve(tx: Tx, row: Row[Any], user_id: str) -> None:
    """The device may log in as this user."""
    tx.execute(grants.update().where(grants.c.id == row.id).values(user_id=user_id))


def take(tx: Tx, row: Row[Any]) -> bool:
    """Uses a grant up; False where somebody else has just done so."""
    return tx.execute(grants.delete().where(grants.c.id == row.id)).rowcount > 0
