"""A thing on another server, with the methods of its Protocol class."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar, cast

from pileus.drivers.object.wire.client import Peer, StreamIn
from pileus.drivers.object.wire.interface import Shape, Verb, interface

P = TypeVar("P")


class _Remote:
    """Has a method for each verb."""


def remote(protocol: type[P], peer: Peer, target: str) -> P:
    """What `target` of that server can do, as `protocol` declares it. Nothing is connected yet."""
    thing = _Remote()
    for name, verb in interface(protocol).items():
        setattr(thing, name, _method(peer, target, verb))
    return cast(P, thing)


def _method(peer: Peer, target: str, verb: Verb) -> Callable[..., Any]:
    if verb.shape is Shape.CALL:

        async def call(*values: Any, **named: Any) -> Any:
            return await peer.call(target, verb, verb.bind(*values, **named))

        return call
    if verb.shape is Shape.OUT:

        def out(*values: Any, **named: Any) -> AsyncIterator[Any]:
            return peer.stream_out(target, verb, verb.bind(*values, **named))

        return out

    def stream_in(*values: Any, **named: Any) -> StreamIn:
        return StreamIn(peer, target, verb, verb.bind(*values, **named))

    return stream_in
