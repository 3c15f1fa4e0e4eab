"""What stores on other machines share: connections that are kept, answers that are errors, reading, parts that grow."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pileus.services.image.chunks import gathered
from pileus.services.image.driver import StoreError, StoreFull

if TYPE_CHECKING:
    import httpcore

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
IDLE_SECONDS = 4.0
"""Connections that were not used for so long are closed; servers close theirs after five seconds or more."""
TRIES = 3
"""Of what can be said again: a server that did not read all of a request closes its connection after the answer, and who
uses it again in that moment is not heard."""
MOST_ANSWER_BYTES = 16 * 1024 * 1024
MIB = 2**20
_FULL = frozenset({413, 507})
_NO_CREDENTIALS = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """By their names in small letters."""
    body: bytes = b""

    @property
    def ok(self) -> bool:
        return self.status < 300

    @property
    def content_length(self) -> int | None:
        text = self.headers.get("content-length", "")
        return int(text) if text.isdecimal() and len(text) < 19 else None


class Client:
    """HTTP to one store. What it raises are StoreErrors that name the store and the cause."""

    def __init__(self, store: str, cacert: str = "") -> None:
        self._store = store
        self._cacert = cacert
        self._pool: httpcore.AsyncConnectionPool | None = None

    @asynccontextmanager
    async def open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] = b"",
    ) -> AsyncIterator[tuple[Answer, AsyncIterator[bytes]]]:
        """The answer's head, and its body as it comes."""
        import httpcore

        sent = {
            "host": urlsplit(url).netloc,
            "user-agent": "pileus",
            "accept-encoding": "identity",
            **headers,
        }
        if not isinstance(body, bytes):
            sent.setdefault("transfer-encoding", "chunked")
        elif body or method in ("PUT", "POST"):
            sent["content-length"] = str(len(body))
        request = partial(
            self._connections().stream,
            method,
            url,
            headers=[(name.encode(), value.encode()) for name, value in sent.items()],
            content=body,
            extensions={"timeout": _TIMEOUT},
        )
        try:
            async with AsyncExitStack() as stack:
                for left in reversed(range(TRIES if isinstance(body, bytes) else 1)):
                    try:
                        response = await stack.enter_async_context(request())
                        break
                    except (httpcore.RemoteProtocolError, httpcore.ReadError):
                        if not left:
                            raise
                names = {
                    name.decode("latin-1").lower(): value.decode("latin-1")
                    for name, value in response.headers
                }
                yield Answer(response.status, names), response.aiter_stream()
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.TimeoutException,
            httpcore.UnsupportedProtocol,
        ) as error:
            where = "{0.scheme}://{0.netloc}".format(urlsplit(url))
            words = str(error).rstrip(".") or type(error).__name__
            raise StoreError(f"Store {self._store} does not answer at {where}: {words}.") from error

    async def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] = b"",
    ) -> Answer:
        """The whole answer."""
        async with self.open(method, url, headers, body) as (head, stream):
            said = b""
            async for chunk in stream:
                said += chunk
                if len(said) > MOST_ANSWER_BYTES:
                    raise StoreError(f"Store {self._store} says more in an answer than can be meant.")
        return Answer(head.status, head.headers, said)

    def failure(self, answer: Answer, said: str = "") -> StoreError:
        """What an answer that is none of those expected means for the user."""
        reason = f": {said}" if said else ""
        if answer.status in _FULL:
            return StoreFull(f"There is no room left in store {self._store} ({answer.status}{reason}).")
        if answer.status in _NO_CREDENTIALS:
            return StoreError(
                f"Store {self._store} refuses the credentials that it is used with "
                f"({answer.status}{reason}): an administrator must look at its settings."
            )
        return StoreError(f"Store {self._store} answers with an error ({answer.status}{reason}).")

    def _connections(self) -> httpcore.AsyncConnectionPool:
        if self._pool is None:
            import httpcore

            try:
                context = ssl.create_default_context(cafile=self._cacert or None)
            except OSError as error:
                raise StoreError(
                    f"Store {self._store}: the file cacert = {self._cacert!r} can't be read: {error}."
                ) from error
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=context, max_connections=None, keepalive_expiry=IDLE_SECONDS, retries=1
            )
        return self._pool

    async def close(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.aclose()


_TIMEOUT = {
    "connect": CONNECT_SECONDS,
    "read": ANSWER_SECONDS,
    "write": ANSWER_SECONDS,
    "pool": CONNECT_SECONDS,
}


class RemoteStore(ABC):
    """A store whose objects are read by GET and HEAD."""

    kind: str
    read_only = False

    def __init__(self, name: str, client: Client) -> None:
        self.name = name
        self.client = client

    @property
    @abstractmethod
    def properties(self) -> Mapping[str, Any]: ...

    @abstractmethod
    def opened(
        self, method: str, object_id: str, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[tuple[Answer, AsyncIterator[bytes]]]:
        """Asks for an object."""

    async def start(self) -> None:
        return (
            None  # A store that is down does not keep the cloud from starting: it is first asked when needed.
        )

    async def close(self) -> None:
        await self.client.close()

    async def read(self, object_id: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if length == 0 and await self.size_bytes(object_id) is not None:
            return
        headers = {}
        if offset or length is not None:
            headers["range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"
        too_early = StoreError(f"The data of image {object_id} in store {self.name} ends too early.")
        async with self.opened("GET", object_id, headers) as (answer, stream):
            if answer.status == 404:
                raise StoreError(f"Store {self.name} has no data of image {object_id}.")
            if answer.status == 416:
                raise too_early
            if answer.status != (206 if headers else 200):
                raise self.client.failure(answer)
            left = answer.content_length if length is None else length
            async for chunk in gathered(stream):
                if left is not None:
                    left -= len(chunk)
                yield chunk
            if left:
                raise too_early

    async def size_bytes(self, object_id: str) -> int | None:
        async with self.opened("HEAD", object_id, {}) as (answer, _):
            if answer.status == 404:
                return None
            if not answer.ok:
                raise self.client.failure(answer)
            return answer.content_length


@dataclass(frozen=True, slots=True)
class PartSizes:
    """How large the parts of a large object are: they grow, as stores take only so many."""

    first_bytes: int
    grow_after: int
    """So many parts are of each size: once, twice, three times the first."""
    most_bytes: int

    def of(self, number: int) -> int:
        """Of the part with this number, from 0."""
        return min(self.first_bytes * (1 + number // self.grow_after), self.most_bytes)
