"""What identity keeps in memory: its keys, and what tokens have lately been found to mean."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from pileus.kernel.api.auth import Revision
from pileus.kernel.clock import Clock
from pileus.kernel.context import Context
from pileus.kernel.db import Database, Tx
from pileus.kernel.errors import Forbidden, Unauthorized
from pileus.kernel.http.reply import encode_json
from pileus.services.identity import resolve
from pileus.services.identity.federation import oidc
from pileus.services.identity.keys import KeyFolder
from pileus.services.identity.ldap.directories import Directories
from pileus.services.identity.provider.issuing import Signer
from pileus.services.identity.saml.issuing import SamlSigner
from pileus.services.identity.saml.trust import Issuer
from pileus.services.identity.settings import Settings
from pileus.services.identity.store import role
from pileus.services.identity.tokens import Claims, FernetTokens, TokenForm


@dataclass(frozen=True, slots=True)
class Meaning:
    """A token that was found good: as others see it, and as the API shows it."""

    claims: Claims
    user: Row[Any]
    context: Context
    domain_id: str
    full: bytes
    without_catalog: bytes
    good_until: datetime
    """When to look again."""


class IdentityState:
    """One for each process. The cache is emptied when anything that tokens depend on changes."""

    def __init__(
        self,
        db: Database,
        keys: KeyFolder,
        clock: Clock,
        revision: Revision,
        settings: Settings,
        credential_keys: KeyFolder,
        tokens: TokenForm | None = None,
        cache_size: int = 20_000,
    ) -> None:
        self.db = db
        self.keys = keys
        self.tokens: TokenForm = tokens or FernetTokens(keys)
        self.clock = clock
        self.revision = revision
        self.settings = settings
        self.credential_keys = credential_keys
        """Keys that what users keep as credentials is sealed with; not those of tokens, which go after a few days."""
        self.oidc = {name: oidc.Provider(each, clock) for name, each in settings.oidc.items()}
        """By identity provider."""
        self.directories = Directories(db, revision, settings.directory_sync_seconds)
        self.saml = {name: Issuer(each) for name, each in settings.saml.items()}
        """By identity provider."""
        self.signer = Signer(keys.folder.parent, clock)
        self.saml_signer = SamlSigner(keys.folder.parent, clock)
        self._size = cache_size
        self._seen = revision.number
        self._meanings: OrderedDict[str, Meaning] = OrderedDict()
        self._book: tuple[int, role.RoleBook] | None = None
        self._failures: set[asyncio.Future[None]] = set()

    @property
    def lifetime(self) -> timedelta:
        return timedelta(seconds=self.settings.token_lifetime_seconds)

    def begin_failure(self, counting: asyncio.Future[None]) -> None:
        """A failed attempt is being counted; see `settle_failures`."""
        self._failures.add(counting)
        counting.add_done_callback(self._failures.discard)

    async def settle_failures(self) -> None:
        """Returns when all failed attempts so far have been counted."""
        if self._failures:
            await asyncio.gather(*self._failures, return_exceptions=True)

    async def meaning(self, token: str, claims: Claims | None = None) -> Meaning:
        """What the token means now; Unauthorized where it means nothing. `claims` of one that was sealed just now."""
        number = self.revision.number
        if self._seen != number:
            self._meanings.clear()
            self._seen, self._book = number, None
        found = self._meanings.get(token)
        if found is not None:
            now = self.clock.now()
            if found.claims.expires_at <= now:
                raise resolve.refuse("the token has expired")
            if found.good_until > now:
                return found
        claims = claims or self.tokens.unseal(token)
        if claims is None:
            raise resolve.refuse("the token is none of ours")
        if claims.expires_at <= self.clock.now():
            raise resolve.refuse("the token has expired")
        standing = await self.db.read(self._standing, claims, number)
        found = Meaning(
            claims,
            standing.user,
            resolve.context(standing),
            standing.user_domain.id,
            encode_json(resolve.body(standing)),
            encode_json(resolve.body(standing, with_catalog=False)),
            standing.good_until,
        )
        if number == self.revision.number:
            self._meanings[token] = found
            if len(self._meanings) > self._size:
                self._meanings.popitem(last=False)
        return found

    def _standing(self, tx: Tx, claims: Claims, number: int) -> resolve.Standing:
        """With the roles as they were read at this revision."""
        book = self._book
        if book is None or book[0] != number:
            book = self._book = number, role.book(tx)
        return resolve.standing(tx, claims, book[1])

    async def context(self, token: str) -> Context:
        """For the kernel: who a token's bearer is."""
        try:
            return (await self.meaning(token)).context
        except (Unauthorized, Forbidden) as error:
            raise Unauthorized("The token is invalid or has expired; get a new one.") from error
