"""Hosts of users' own that DNS leads to a storage domain (Swift's documentation, "CNAME lookup").

A host that leads to none is served as the cloud itself: other than in Swift, the object store is not alone at its address.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from pileus.kernel.clock import Clock
from pileus.services.object_store import remap
from pileus.services.object_store.settings import Settings

if TYPE_CHECKING:
    from pileus.kernel.api.service import Runtime

log = structlog.get_logger("pileus.object_store")
REMEMBERED = 10_000
NOTHING_SECONDS = 60.0
"""For so long it is remembered that a host leads nowhere."""


class Resolver(Protocol):
    async def cname(self, host: str) -> tuple[str | None, float]:
        """The name that a host stands for, None for none, and for how many seconds that is so. Raises OSError where DNS
        does not answer."""


class Cnames:
    def __init__(self, resolver: Resolver, clock: Clock, settings: Settings) -> None:
        self._resolver = resolver
        self._clock = clock
        self._depth = settings.cname_lookup_depth
        self._domains = tuple("." + each.lower().lstrip(".") for each in settings.storage_domains)
        self._known: OrderedDict[str, tuple[str | None, float]] = OrderedDict()
        """By host the one that it leads to, and until when."""

    def _is_ours(self, host: str) -> bool:
        return f".{host}".endswith(self._domains)

    def arriving(self, scope: Mapping[str, Any]) -> Awaitable[None] | None:
        """Sees to it that a request's scope says which host is meant; what is to be awaited for that."""
        host = remap.host_of(scope)
        if "." not in host or self._is_ours(host) or _is_address(host):
            return None
        known = self._known.get(host)
        if known is not None and known[1] > self._clock.monotonic():
            _say(scope, known[0])
            return None
        return self._look(scope, host)

    async def _look(self, scope: Mapping[str, Any], host: str) -> None:
        found, seconds = host, float("inf")
        try:
            for _ in range(self._depth):
                following, valid = await self._resolver.cname(found)
                seconds = min(seconds, valid)
                if following is None:
                    break
                found = following.lower().rstrip(".")
                if self._is_ours(found):
                    self._remember(host, found, seconds)
                    _say(scope, found)
                    return
        except OSError as error:
            log.warning("a host can't be looked up", host=host, cause=str(error))
            return
        self._remember(host, None, max(NOTHING_SECONDS, seconds if seconds < float("inf") else 0.0))

    def _remember(self, host: str, found: str | None, seconds: float) -> None:
        self._known[host] = found, self._clock.monotonic() + seconds
        self._known.move_to_end(host)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _say(scope: Mapping[str, Any], host: str | None) -> None:
    if host is not None:
        dict.__setitem__(scope, remap.HOST, host)  # type: ignore[index]  # ASGI's scopes are dicts


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def arriving(runtime: Runtime, scope: Mapping[str, Any]) -> Awaitable[None] | None:
    """As `Service.arriving`."""
    cnames: Cnames | None = runtime.state.cnames
    return None if cnames is None else cnames.arriving(scope)
