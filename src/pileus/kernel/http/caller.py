"""How one service calls another: by its public API, inside this process, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

import msgspec

from pileus.kernel.api.application import scope_of
from pileus.kernel.api.call import CONTEXT_KEY, request_id
from pileus.kernel.context import Context
from pileus.kernel.errors import ApiError, Unavailable
from pileus.kernel.http.reply import encode_json

_OCTETS = {"content-type": "application/octet-stream"}
_decode = msgspec.json.Decoder().decode


class PeerReply:
    """Another service's answer."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        return _decode(self.body) if self.body else None

    @property
    def ok(self) -> bool:
        return self.status < 400

    def expect(self, *statuses: int) -> PeerReply:
        """Itself, or an ApiError with the other service's status and words, and its kind where it tells one."""
        if self.status in statuses or (not statuses and self.ok):
            return self
        message = _message(self.body) or f"another service answered {self.status}"
        raise ApiError(message, kind=_kind(self.body), status=self.status)


class Peer(Protocol):
    """A service as others see it; paths are below its versioned path, as `/ports`."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        context: Context,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> PeerReply:
        """Asks and waits for the whole answer; raises Unavailable where there is none to be had."""

    def download(self, path: str, *, context: Context) -> AsyncIterator[bytes]:
        """The body of a GET as it comes; raises as `expect` does where it is an error."""

    async def upload(self, path: str, chunks: AsyncIterator[bytes], *, context: Context) -> PeerReply:
        """PUTs bytes as they come. What breaks off in `chunks` breaks off the request, and is raised."""


class AsgiPeer:
    """Calls an ASGI application in this process; the caller's Context goes along instead of a token."""

    def __init__(
        self, app: Callable[..., Awaitable[None]], base_path: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._app = app
        self._base_path = base_path
        self._headers = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]

    async def request(
        self,
        method: str,
        path: str,
        *,
        context: Context,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> PeerReply:
        chunks: list[bytes] = []
        start: dict[str, Any] = {}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                chunks.append(message.get("body", b""))

        scope = self._scope(method, path, context, query, headers)
        await self._app(scope, _body_once(b"" if body is None else encode_json(body)), send)
        said = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
        return PeerReply(start["status"], said, b"".join(chunks))

    async def download(self, path: str, *, context: Context) -> AsyncIterator[bytes]:
        messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue(maxsize=4)
        scope = self._scope("GET", path, context, None, None)
        task = asyncio.ensure_future(self._app(scope, _body_once(b""), messages.put))
        try:
            start = await _next_message(messages, task)
            failed = b""
            while True:
                message = await _next_message(messages, task)
                if start["status"] >= 400:
                    failed += message["body"]
                elif message["body"]:
                    yield message["body"]
                if not message.get("more_body"):
                    break
            PeerReply(start["status"], {}, failed).expect()
        finally:
            task.cancel()

    async def upload(self, path: str, chunks: AsyncIterator[bytes], *, context: Context) -> PeerReply:
        said: list[dict[str, Any]] = []
        broken: list[BaseException] = []

        async def receive() -> dict[str, Any]:
            try:
                return {"type": "http.request", "body": await anext(chunks), "more_body": True}
            except StopAsyncIteration:
                return {"type": "http.request", "body": b"", "more_body": False}
            except Exception as error:
                broken.append(error)
                return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            said.append(message)

        await self._app(self._scope("PUT", path, context, None, _OCTETS), receive, send)
        if broken:
            raise broken[0]
        names = {name.decode("latin-1"): value.decode("latin-1") for name, value in said[0]["headers"]}
        return PeerReply(said[0]["status"], names, b"".join(each.get("body", b"") for each in said[1:]))

    def _scope(
        self,
        method: str,
        path: str,
        context: Context,
        query: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
    ) -> dict[str, Any]:
        sent = list(self._headers)
        if said := request_id.get():
            sent.append((b"x-openstack-request-id", said.encode()))
        for name, value in (headers or {}).items():
            sent.append((name.lower().encode(), value.encode()))
        encoded = urlencode(query, doseq=True).encode() if query else b""
        return scope_of(method, self._base_path + path, sent, encoded, **{CONTEXT_KEY: context})


async def _next_message(
    messages: asyncio.Queue[dict[str, Any]], task: asyncio.Future[None]
) -> dict[str, Any]:
    """The application's next message, or the exception that ended it."""
    getter = asyncio.ensure_future(messages.get())
    await asyncio.wait((getter, task), return_when=asyncio.FIRST_COMPLETED)
    if getter.done():
        return getter.result()
    getter.cancel()
    if not messages.empty():
        return messages.get_nowait()
    task.result()
    raise Unavailable("the answer ended before it was whole")


def _body_once(body: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _message(body: bytes) -> str | None:
    """The words of an error, whatever its dialect's envelope."""
    try:
        value = _decode(body)
    except msgspec.DecodeError:
        return body.decode("utf-8", "replace")[:500] or None
    queue = [value]
    while queue:
        each = queue.pop(0)
        if isinstance(each, dict):
            for name in ("message", "detail"):
                if isinstance(each.get(name), str) and each[name]:
                    return str(each[name])
            queue.extend(each.values())
        elif isinstance(each, list):
            queue.extend(each)
    return None


def _kind(body: bytes) -> str | None:
    """What Neutron calls an error."""
    try:
        value = _decode(body)
    except msgspec.DecodeError:
        return None
    told = value.get("NeutronError") if isinstance(value, dict) else None
    kind = told.get("type") if isinstance(told, dict) else None
    return kind if isinstance(kind, str) else None
