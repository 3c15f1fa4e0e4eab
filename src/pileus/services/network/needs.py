"""What the network service needs of other services, and the same over their public APIs."""

from __future__ import annotations

from typing import Protocol

from pileus.kernel.context import service_user
from pileus.kernel.http.caller import Peer

SERVICE = service_user("network")


class Servers(Protocol):
    """Those whose ports these are; they show the ports' addresses."""

    async def changed(self, server_id: str, port_id: str) -> None:
        """A port of the server is not as it was. One that is gone is no error."""


def bind(compute: Peer) -> Servers:
    return ComputePeer(compute)


class ComputePeer:
    """Nova's external events, as Neutron sends them."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def changed(self, server_id: str, port_id: str) -> None:
        event = {"name": "network-changed", "server_uuid": server_id, "tag": port_id}
        reply = await self._peer.request(
            "POST", "/os-server-external-events", context=SERVICE, body={"events": [event]}
        )
        # 207: the server is not on a host yet, or no longer, and looks when it is. 404: it is gone.
        reply.expect(200, 207, 404)
