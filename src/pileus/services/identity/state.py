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
from pileus.kernel.db import Database
from pileus.kernel.errors import Forbidden, Unauthorized
from pileus.services.identity import resolve
from pileus.services.identity.federation import oidc
from pileus.services.identity.keys import KeyFolder
from pileus.services.identity.ldap.directories import Directories
from pileus.services.identity.passwords import Passwords
from pileus.services.identity.provider.issuing import Signer
from pileus.services.identity.saml.issuing import SamlSigner
from pileus.services.identity.saml.key_pair import KeyPair
from pileus.services.identity.saml.trust import Issuer
from pileus.services.identity.settings import Settings
from pileus.services.identity.store import book
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
        self.passwords = Passwords(settings.password_hash_cost)
        self.credential_keys = credential_keys
        """Keys that what users keep as credentials is sealed with; not those of tokens, which go after a few days."""
        self.oidc = {name: oidc.Provider(each, clock) for name, each in settings.oidc.items()}
        """By identity provider."""
        self.directories = Directories(db, revision, settings.directory_sync_seconds)
        self.saml = {name: Issuer(each) for name, each in settings.saml.items()}
        """By identity provider."""
        self.signer = Signer(keys.folder.parent, clock)
        self.saml_signer = SamlSigner(keys.folder.parent, clock)
        self.saml_pair = KeyPair(keys.folder.parent / "saml-encryption.pem", clock)
        """What others encrypt assertions for us with."""
        self._size = cache_size
        self._seen = revision.number
        self._meanings: OrderedDict[str, Meaning] = OrderedDict()
        self._book: tuple[int, book.Book] | None = None
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
            self._seen = number
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
        standing = await self.db.read(resolve.standing, claims, await self.book())
        found = Meaning(
            claims,
            standing.user,
            resolve.context(standing),
            standing.user_domain.id,
            *resolve.bodies(standing),
            standing.good_until,
        )
        if number == self.revision.number:
            self._meanings[token] = found
            if len(self._meanings) > self._size:
                self._meanings.popitem(last=False)
        return found

    async def book(self) -> book.Book:
        """As it was at the latest revision, or later."""
        number, known = (
            self.revision.number,
            self._book,
        )  # before what is read, or a change in between went unseen
        if known is None or known[0] != number:
            known = self._book = number, await self.db.read(book.read)
        return known[1]

    async def context(self, token: str) -> Context:
        """For the kernel: who a token's bearer is."""
        try:
            return (await self.meaning(token)).context
        except (Unauthorized, Forbidden) as error:
            raise Unauthorized("The token is invalid or has expired; get a new one.") from error
