"""Reading what users name by address, without being led to where users have no business.

A host's name is resolved once; every address it stands for must be allowed, and the connection is made to an
address that was looked at. Redirects are followed by hand, each looked at anew. No proxy, no cookies.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from pileus.lib.address_guard import Forbidden, Guard
from pileus.services.image.driver import AddressRefused, StoreError

if TYPE_CHECKING:
    import httpcore

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class HttpFetcher:
    """Fetches over HTTP and HTTPS."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def check(self, url: str) -> None:
        try:
            self._guard.require_url(url)
        except Forbidden as error:
            raise AddressRefused(f"{url[:200]} is refused: {error}.") from error

    async def fetch(
        self, url: str, *, headers: Mapping[str, str] | None = None, trusted: bool = False
    ) -> AsyncIterator[bytes]:
        async with self.open("GET", url, headers=headers, trusted=trusted) as response:
            if response.status != 200:
                raise StoreError(f"{url} answered {response.status}.")
            wanted = content_length(response)
            size = 0
            async for chunk in response.aiter_stream():
                size += len(chunk)
                yield chunk
            if wanted is not None and size != wanted:
                raise StoreError(f"{url} ended after {size} of {wanted} bytes.")

    @asynccontextmanager
    async def open(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, trusted: bool = False
    ) -> AsyncIterator[httpcore.Response]:
        """The answer at the end of all redirects, its body still to come. Raises AddressRefused, StoreError."""
        import httpcore

        fragmentless = url.partition("#")[0]
        guard = None if trusted else self._guard
        for _ in range(MOST_REDIRECTS + 1):
            async with contextlib.AsyncExitStack() as stack:
                try:
                    if guard is not None:
                        self.check(fragmentless)
                    pool = httpcore.AsyncConnectionPool(
                        ssl_context=ssl.create_default_context(), network_backend=_backend(guard)
                    )
                    await stack.enter_async_context(pool)
                    sent: dict[str | bytes, str | bytes] = {
                        "accept-encoding": "identity",
                        "user-agent": "pileus",
                    }
                    sent.update(headers or {})
                    request = pool.stream(
                        method, fragmentless, headers=sent, extensions={"timeout": _TIMEOUT}
                    )
                    response = await stack.enter_async_context(request)
                except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
                    raise StoreError(f"{fragmentless} can't be read: {_words(error)}") from error
                except (httpcore.UnsupportedProtocol, UnicodeError, ValueError) as error:
                    raise StoreError(f"{fragmentless[:200]} is no address to read from: {error}") from error
                there = _header(response, b"location")
                if trusted or response.status not in _REDIRECTS or there is None:
                    try:
                        yield response
                    except (
                        httpcore.NetworkError,
                        httpcore.ProtocolError,
                        httpcore.TimeoutException,
                    ) as error:
                        raise StoreError(f"{fragmentless} broke off: {_words(error)}") from error
                    return
            fragmentless = urljoin(fragmentless, there).partition("#")[0]
        raise StoreError(f"{url} leads from one address to the next more than {MOST_REDIRECTS} times.")


_TIMEOUT = {"connect": CONNECT_SECONDS, "read": READ_SECONDS, "write": READ_SECONDS, "pool": CONNECT_SECONDS}


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _header(response: httpcore.Response, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), None)


def content_length(response: httpcore.Response) -> int | None:
    """Bytes that the answer says it has."""
    text = _header(response, b"content-length")
    return int(text) if text is not None and text.isdecimal() and len(text) < 19 else None


def _backend(guard: Guard | None) -> Any:
    """Connections are made to addresses that were looked at, whatever the name says a moment later."""
    import httpcore

    class Guarded(httpcore.AsyncNetworkBackend):
        def __init__(self) -> None:
            self._inner = httpcore.AnyIOBackend()

        async def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,
            local_address: str | None = None,
            socket_options: Iterable[Any] | None = None,
        ) -> httpcore.AsyncNetworkStream:
            addresses = await resolve(host, port)
            if guard is not None:
                for address in addresses:
                    try:
                        guard.require_address(ipaddress.ip_address(address.partition("%")[0]), port)
                    except Forbidden as error:
                        raise AddressRefused(f"{host} is refused: {error}.") from error
            failure: Exception = httpcore.ConnectError(f"{host} has no address")
            for address in addresses:
                try:
                    return await self._inner.connect_tcp(
                        address, port, timeout, local_address, socket_options
                    )
                except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                    failure = error
            raise failure

        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(seconds)

    return Guarded()


async def resolve(host: str, port: int) -> list[str]:
    """The addresses that a name stands for, in the resolver's order. Raises StoreError where there are none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise StoreError(f"The name {host} can't be resolved: {error}.") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
