"""One request on its way through: who asks, for what, in which version, and what the handler may reach."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from sqlalchemy import Row

from pileus.kernel.api.body_stream import BodyStream
from pileus.kernel.api.versions import Version
from pileus.kernel.context import Context, own
from pileus.kernel.errors import BadRequest, Forbidden, TooLarge

if TYPE_CHECKING:
    from pileus.kernel.api.operation import Operation
    from pileus.kernel.api.service import Runtime

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

MAX_BODY_BYTES = 1024 * 1024
CONTEXT_KEY = "pileus.context"
"""In the ASGI scope of a call from inside this process: the caller's Context, instead of a token."""

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id that everything done for one request carries, through all services and logs."""


class Call:
    """Made by the kernel for each request; handlers read from it and never keep it."""

    __slots__ = (
        "_headers",
        "_query",
        "_receive",
        "_root_url",
        "context",
        "gathered",
        "method",
        "operation",
        "params",
        "parent",
        "path",
        "request_id",
        "response_headers",
        "runtime",
        "scope",
        "version",
    )

    def __init__(
        self, scope: Scope, receive: Receive, runtime: Runtime, operation: Operation, params: dict[str, str]
    ) -> None:
        self.scope = scope
        self._receive = receive
        self.runtime = runtime
        self.operation = operation
        self.params = params
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.request_id = request_id.get()
        self.context: Context = NOBODY
        self.version: Version | None = None
        self.parent: Row[Any] | None = None
        """The row that the path goes through, for resources that live below another."""
        self.gathered: dict[str, Any] = {}
        """What `Resource.gather` has read for rendering."""
        self.response_headers: dict[str, str] = {}
        self._headers: dict[str, str] | None = None
        self._query: dict[str, list[str]] | None = None
        self._root_url: str | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case name; of a repeated one, the last."""
        if self._headers is None:
            self._headers = {
                k.decode("latin-1").lower(): v.decode("latin-1") for k, v in self.scope["headers"]
            }
        return self._headers

    def header(self, name: str) -> str | None:
        return (self._headers or self.headers).get(name)

    def cookie(self, name: str) -> str:
        """A cookie's value; empty where there is none."""
        from http.cookies import CookieError, SimpleCookie

        try:
            found = SimpleCookie(self.header("cookie") or "").get(name)
        except CookieError:
            return ""
        return "" if found is None else found.value

    @property
    def query(self) -> Mapping[str, list[str]]:
        """The query's values by name, in order."""
        if self._query is None:
            query: dict[str, list[str]] = {}
            raw: bytes = self.scope.get("query_string", b"")
            if raw:
                try:
                    pairs = parse_qsl(
                        raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000
                    )
                except ValueError as error:
                    raise BadRequest(f"The query string can't be read: {error}") from error
                for name, value in pairs:
                    if "\0" in value:
                        raise BadRequest(f"The value of {name} has a NUL character.")
                    query.setdefault(name, []).append(value)
            self._query = query
        return self._query

    def pass_over_query(self) -> None:
        """For what takes none: from now on it is empty, whatever the client has sent. `scope` keeps that, for logs."""
        self._query = {}

    def arg(self, name: str, default: str | None = None) -> str | None:
        """The last value of a query parameter."""
        query = self.query if self._query is None else self._query
        values = query.get(name) if query else None
        return values[-1] if values else default

    def flag(self, name: str, default: bool = False) -> bool:
        """A query parameter read as a boolean; 400 where it is none."""
        value = self.arg(name)
        if value is None:
            return default
        return read_bool(name, value)

    def has(self, version: Version) -> bool:
        """Whether the client speaks at least this version."""
        return self.version is None or self.version >= version

    @property
    def project_id(self) -> str:
        """The project that the token is for; 403 for a token without one."""
        if self.context.project_id is None:
            raise Forbidden("This needs a token for a project; yours is for " + scope_words(self.context))
        return self.context.project_id

    @property
    def base_url(self) -> str:
        """Scheme and host under which the client reached us, with the service's path: `http://h:8900/compute/v2.1`."""
        return self.root_url + self.runtime.service.path

    @property
    def root_url(self) -> str:
        """Scheme and host only."""
        if self._root_url is None:
            host = self.header("host") or "localhost"
            self._root_url = self.runtime.public_url or f"{self.scope.get('scheme', 'http')}://{host}"
        return self._root_url

    def allows(self, rule: str, target: Mapping[str, Any] | None = None) -> bool:
        """Whether policy lets the caller do this."""
        return self.runtime.enforcer.check(
            rule, self.context, target if target is not None else own(self.context)
        )

    def enforce(self, rule: str, target: Mapping[str, Any] | None = None) -> None:
        """403 where policy does not let the caller do this."""
        if not self.allows(rule, target):
            raise Forbidden(f"Policy doesn't allow {rule} to be performed.", kind="PolicyNotAuthorized")

    async def body(self, limit: int = MAX_BODY_BYTES) -> bytes:
        """The whole body; 413 past `limit` bytes."""
        chunks, size = [], 0
        async for chunk in self.stream():
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"The request's body is larger than {limit} bytes.")
            chunks.append(chunk)
        return b"".join(chunks) if len(chunks) != 1 else chunks[0]

    def stream(self) -> BodyStream:
        """The body as it comes."""
        return BodyStream(self.scope, self._receive, self.header("content-length") or "")


NOBODY = Context()


def scope_words(context: Context) -> str:
    """The scope of a token, in words for an error message."""
    return {
        "system": "the system",
        "domain": "a domain",
        "project": "a project",
        "none": "nothing in particular (it is unscoped)",
    }[context.scope]


_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
_FALSE = frozenset({"0", "f", "false", "off", "n", "no"})


def read_bool(name: str, value: str) -> bool:
    """A boolean in any of the spellings that OpenStack takes (oslo.utils, strutils)."""
    lowered = value.strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise BadRequest(f"Invalid value {value!r} for {name}: it must be true or false.")
