"""What identity keeps in memory: its keys, and what tokens have lately been found to mean."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from pileus.kernel.api.auth import Revision
from pileus.kernel.clock import Clock
from pileus.kernel.context import Context
from pileus.kernel.db import Database
from pileus.kernel.errors import Unauthorized
from pileus.kernel.http.reply import encode_json
from pileus.services.identity import resolve
from pileus.services.identity.federation import oidc
from pileus.services.identity.federation.oidc import OidcSettings
from pileus.services.identity.keys import KeyFolder
from pileus.services.identity.provider.issuing import ProviderSettings, Signer
from pileus.services.identity.tokens import Claims, unseal


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    token_lifetime_seconds: int = 3600
    keys_kept: int = 3
    """Fernet keys: one staged, one that signs, the rest only open."""
    min_password_length: int = 1
    oidc: dict[str, OidcSettings] = {}
    """Identity providers that speak OpenID Connect, by their id here."""
    provider: ProviderSettings = ProviderSettings()
    trusted_dashboards: tuple[str, ...] = ("http://localhost:9990/auth/websso/",)
    """Where a browser may be sent with a token after a federated login; by default where keystoneauth's `v3websso` listens
    on the user's own machine."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """A token that was found good: as others see it, and as the API shows it."""

    claims: Claims
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
        cache_size: int = 20_000,
    ) -> None:
        self.db = db
        self.keys = keys
        self.clock = clock
        self.revision = revision
        self.settings = settings
        self.oidc = {name: oidc.Provider(each, clock) for name, each in settings.oidc.items()}
        """By identity provider."""
        self.signer = Signer(keys.folder.parent, clock)
        self._size = cache_size
        self._seen = revision.number
        self._meanings: OrderedDict[str, Meaning] = OrderedDict()

    @property
    def lifetime(self) -> timedelta:
        return timedelta(seconds=self.settings.token_lifetime_seconds)

    async def meaning(self, token: str) -> Meaning:
        """What the token means now; Unauthorized where it means nothing."""
        if self._seen != self.revision.number:
            self._meanings.clear()
            self._seen = self.revision.number
        found = self._meanings.get(token)
        if found is not None:
            now = self.clock.now()
            if found.claims.expires_at <= now:
                raise resolve.refuse("the token has expired")
            if found.good_until > now:
                return found
        claims = unseal(self.keys, token)
        if claims is None:
            raise resolve.refuse("the token is none of ours")
        if claims.expires_at <= self.clock.now():
            raise resolve.refuse("the token has expired")
        before = self.revision.number
        standing = await self.db.read(resolve.standing, claims)
        found = Meaning(
            claims,
            resolve.context(standing),
            standing.user_domain.id,
            encode_json(resolve.body(standing)),
            encode_json(resolve.body(standing, with_catalog=False)),
            standing.good_until,
        )
        if before == self.revision.number:
            self._meanings[token] = found
            if len(self._meanings) > self._size:
                self._meanings.popitem(last=False)
        return found

    async def context(self, token: str) -> Context:
        """For the kernel: who a token's bearer is."""
        try:
            return (await self.meaning(token)).context
        except Unauthorized as error:
            raise Unauthorized("The token is invalid or has expired; get a new one.") from error
