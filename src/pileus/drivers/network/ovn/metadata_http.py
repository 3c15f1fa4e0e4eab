"""HTTP for the metadata endpoints, by uvicorn's protocol, with limits for a peer that is not trusted.

A module of its own, since it is only imported once there is an endpoint to serve.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

_CONNECTIONS = 64
"""At one time, by listening socket."""
_REQUEST_SECONDS = 10.0


class _LimitedProtocol(H11Protocol):
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent
        super().connection_made(transport)
        if len(self.connections) > _CONNECTIONS:
            transport.abort()
        else:
            self._deadline = self.loop.call_later(_REQUEST_SECONDS, self._expire)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _expire(self) -> None:
        """A peer that has not finished asking by now only holds the connection."""
        if self.cycle is None:
            self.transport.abort()  # type: ignore[unreachable]  # uvicorn's annotation leaves the None out


def protocol_factory(app: Any) -> Callable[[], asyncio.Protocol]:
    """Makes a protocol for each connection to one listening socket that `app` answers."""
    config = Config(
        app,
        interface="asgi3",
        http=_LimitedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
    config.load()
    state = ServerState()
    return lambda: _LimitedProtocol(config, state, {}, asyncio.get_running_loop())
