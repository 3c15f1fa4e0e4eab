"""Words of lists that other proxies change, too: each request asks once for each list that it has to do with."""

from __future__ import annotations

from contextvars import ContextVar

from pileus.kernel.api.call import request_id
from pileus.kernel.clock import Clock
from pileus.services.object_store.listings import Listings

BELIEVED_SECONDS = 1.0
"""A request that takes longer, as one of a large body or of many objects, asks again."""


class _Asked:
    def __init__(self, request: str, until: float) -> None:
        self.request = request
        self.until = until
        self.words: dict[tuple[str, str | None], str | None] = {}


_asked: ContextVar[_Asked | None] = ContextVar("object_store_words", default=None)


class Words:
    def __init__(self, listings: Listings, clock: Clock) -> None:
        self._listings = listings
        self._clock = clock

    async def of(self, account: str, container: str | None = None) -> str | None:
        """As `Listings.word`, at the earliest as it was when this request began."""
        request, now = request_id.get(), self._clock.monotonic()
        if not request:
            return await self._listings.word(account, container)
        asked = _asked.get()
        if asked is None or asked.request != request or now >= asked.until:
            asked = _Asked(request, now + BELIEVED_SECONDS)
            _asked.set(asked)
        at = account, container
        if at not in asked.words:
            asked.words[at] = await self._listings.word(account, container)
        return asked.words[at]
