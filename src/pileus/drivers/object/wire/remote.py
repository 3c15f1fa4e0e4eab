"""A thing on another server, with the methods that its interface declares."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from pileus.drivers.object.wire.client import Peer
from pileus.drivers.object.wire.interface import Interface, Shape, Verb
from pileus.drivers.object.wire.stream import StreamIn


class Remote:
    """Has a method for each verb that its class does not define itself. Nothing is connected yet."""

    def __init__(self, verbs: Interface, peer: Peer, target: str) -> None:
        for name, verb in verbs.items():
            if not hasattr(type(self), name):
                setattr(self, name, _method(peer, target, verb))


def _method(peer: Peer, target: str, verb: Verb) -> Callable[..., Any]:
    def call(*values: Any, **named: Any) -> Awaitable[Any]:
        return peer.call(target, verb, verb.bind(*values, **named))

    async def call_as_coroutine(*values: Any, **named: Any) -> Any:
        return await peer.call(target, verb, verb.bind(*values, **named))

    def stream_out(*values: Any, **named: Any) -> AsyncIterator[Any]:
        return peer.stream_out(target, verb, verb.bind(*values, **named))

    def stream_in(*values: Any, **named: Any) -> StreamIn:
        return StreamIn(peer, target, verb, verb.bind(*values, **named))

    async def fed(*values: Any) -> Any:
        return await peer.feed(target, verb, verb.bind(*values[:-1]), values[-1])

    if verb.shape is Shape.FED:
        return fed
    if verb.shape is Shape.CALL:
        return call if verb.begins else call_as_coroutine
    return stream_out if verb.shape is Shape.OUT else stream_in
