"""Other clouds' object stores, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 60.0


class HttpRemote:
    """Keeps its connections. `transport` stands in for the network in tests."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: AsyncIterator[bytes] | None
    ) -> int:
        """The status. Raises OSError where nobody answered."""
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(transport=self._transport, timeout=TIMEOUT_SECONDS)
        raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        try:
            reply = await self._client.request(method, url, headers=raw, content=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise OSError(f"{url}: {error}") from error
        return reply.status_code
