"""Users that stand in the settings, for an object store without an identity service (Swift's documentation, "TempAuth").

Tokens say who they are for and until when, and are sealed; nothing of them is kept, so every process of a store that is
given one secret takes all of them.
"""

from __future__ import annotations

import base64
import hmac
import os
from hashlib import sha256

import msgspec

from pileus.kernel.clock import Clock
from pileus.kernel.config import ConfigError
from pileus.kernel.context import Context

ADMIN, RESELLER_ADMIN = ".admin", ".reseller_admin"


class User(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str
    groups: tuple[str, ...] = ()
    """`.admin` owns the account, `.reseller_admin` all of them; others are for access lists."""
    url: str = ""
    """Of the account, where it is not this store's."""


class TempAuthSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    users: dict[str, User] = {}
    """By `ACCOUNT:USER`. Without any there is no TempAuth."""
    token_lifetime_seconds: int = 86400
    secret: str = ""
    """What seals tokens; the same for all processes. Empty: made anew with each start."""


class Granted(msgspec.Struct, frozen=True):
    """What an authentication gives."""

    token: str
    seconds: int
    url: str


class TempAuth:
    """Raises ConfigError where a user has no account, or no key."""

    def __init__(
        self, settings: TempAuthSettings, clock: Clock, owner_role: str, reseller_admin_role: str
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._roles = {ADMIN: owner_role, RESELLER_ADMIN: reseller_admin_role}
        self._secret = settings.secret.encode() or os.urandom(32)
        for name, user in settings.users.items():
            account, colon, own = name.partition(":")
            if not (account and colon and own and user.key):
                raise ConfigError(
                    f"object_store.tempauth.users: {name!r} must be ACCOUNT:USER, and have a key"
                )

    def authenticate(self, name: str, key: str) -> Granted | None:
        """None where there is no such user, or the key is another's."""
        user = self._settings.users.get(name)
        known = b"" if user is None else user.key.encode()
        if not hmac.compare_digest(known, key.encode("utf-8", "replace")) or user is None or not key:
            return None
        lifetime = self._settings.token_lifetime_seconds
        until = int(self._clock.now().timestamp()) + lifetime
        said = f"{until}:{name}".encode()
        token = base64.urlsafe_b64encode(self._seal(said, user) + said).decode().rstrip("=")
        return Granted(f"AUTH_tk{token}", lifetime, user.url)

    def _seal(self, said: bytes, user: User) -> bytes:
        """A user whose key changes has no tokens any more."""
        return hmac.digest(self._secret, said + b"\0" + user.key.encode(), sha256)

    def context(self, token: str) -> Context | None:
        """Who has the token; None where it is none of ours, or no good any more."""
        if not token.startswith("AUTH_tk"):
            return None
        try:
            raw = base64.urlsafe_b64decode(token[7:] + "=" * (-len(token[7:]) % 4))
        except ValueError:
            return None
        seal, said = raw[:32], raw[32:]
        until, _, name = said.decode("utf-8", "replace").partition(":")
        user = self._settings.users.get(name)
        if user is None or not hmac.compare_digest(seal, self._seal(said, user)):
            return None
        if int(until) <= self._clock.now().timestamp():
            return None
        account, _, own = name.partition(":")
        groups = {self._roles.get(group, group) for group in user.groups}
        return Context(
            user_id=name,
            user_name=own,
            project_id=account,
            project_name=account,
            roles=frozenset({*groups, account, name}),
        )
