"""From a token to the Context that handlers see, cached until the identity service says otherwise."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from pileus.kernel.clock import Clock
from pileus.kernel.context import Context

Authenticate = Callable[[str], Awaitable[Context]]
"""The Context of a token; raises Unauthorized."""


class Revision:
    """Counts what changes the meaning of tokens: revocations, role changes, disabled users. Bumped after the commit."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0

    def bump(self) -> None:
        self.number += 1


class TokenCache:
    """Remembers up to `size` tokens; all is forgotten when the revision moves, each when it expires."""

    def __init__(self, validate: Authenticate, revision: Revision, clock: Clock, size: int = 20_000) -> None:
        self._validate = validate
        self._revision = revision
        self._clock = clock
        self._size = size
        self._seen = revision.number
        self._contexts: OrderedDict[str, Context] = OrderedDict()

    async def __call__(self, token: str) -> Context:
        if self._seen != self._revision.number:
            self._contexts.clear()
            self._seen = self._revision.number
        context = self._contexts.get(token)
        if context is not None and (context.expires_at is None or context.expires_at > self._clock.now()):
            return context
        before = self._revision.number
        context = await self._validate(token)
        if before == self._revision.number:
            self._contexts[token] = context
            if len(self._contexts) > self._size:
                self._contexts.popitem(last=False)
        return context
