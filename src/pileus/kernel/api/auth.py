"""From a token to the Context that handlers see, cached until the identity service says otherwise."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from pileus.kernel.clock import Clock
from pileus.kernel.context import Context
from pileus.kernel.db import Signal, Tx

Authenticate = Callable[[str], Awaitable[Context]]
"""The Context of a token; raises Unauthorized."""


class Revision:
    """Counts what changes the meaning of tokens: revocations, role changes, disabled users.

    With a signal, what one process changes is counted by all that share its database.
    """

    __slots__ = ("_own", "_signal")

    def __init__(self, signal: Signal | None = None) -> None:
        self._signal = signal
        self._own = 0

    @property
    def number(self) -> int:
        """Another one from the commit of such a change on."""
        return self._own if self._signal is None else self._own + self._signal.number

    def move(self, tx: Tx) -> None:
        """With the commit of this transaction, all that is remembered of tokens is forgotten."""
        if self._signal is None:
            tx.after_commit(self.bump)
        else:
            self._signal.move(tx)

    def bump(self) -> None:
        """Forgets in this process alone."""
        self._own += 1


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
        number = self._revision.number
        if self._seen != number:
            self._contexts.clear()
            self._seen = number
        context = self._contexts.get(token)
        if context is not None and (context.expires_at is None or context.expires_at > self._clock.now()):
            return context
        context = await self._validate(token)
        if number == self._revision.number:
            self._contexts[token] = context
            if len(self._contexts) > self._size:
                self._contexts.popitem(last=False)
        return context
