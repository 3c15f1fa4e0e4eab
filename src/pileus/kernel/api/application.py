"""The ASGI application: finds the operation, runs it, turns every outcome into an answer of the right dialect."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from contextlib import aclosing, closing, suppress
from typing import Any

import structlog

from pileus.kernel import metrics
from pileus.kernel.api import bodies
from pileus.kernel.api.body_stream import ClientGone
from pileus.kernel.api.call import Call, Receive, Scope, Send, request_id
from pileus.kernel.api.dialect import Dialect
from pileus.kernel.api.dispatch import authenticate, choose, dispatch
from pileus.kernel.api.operation import Kind, Operation
from pileus.kernel.api.service import Runtime
from pileus.kernel.db import DatabaseGone
from pileus.kernel.errors import ApiError, BadRequest, Bug, MethodNotAllowed, NotFound, Unavailable
from pileus.kernel.http.exchange import Disconnected
from pileus.kernel.http.reply import FileRange, Reply
from pileus.kernel.http.router import Router
from pileus.kernel.ids import new_request_id
from pileus.kernel.log import answered

log = structlog.get_logger("pileus.api")
_GLOBAL_ID = b"x-openstack-request-id"
_REQUEST_ID = re.compile(rb"req-[0-9A-Za-z-]{36}")


class Endpoint:
    """All operations behind one method and path of one service."""

    __slots__ = ("is_action", "operations", "runtime")

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.operations: list[Operation] = []
        self.is_action = False

    def add(self, operation: Operation) -> None:
        """Raises Bug where two operations claim the same versions."""
        for other in self.operations:
            if other.action == operation.action and _overlap(other, operation):
                raise Bug(f"two handlers for {operation.label} in the same versions")
        self.operations.append(operation)
        self.is_action = self.is_action or operation.kind is Kind.ACTION


class Application:
    """Serves any number of services by their paths. An ASGI application; also called from inside (see `AsgiPeer`)."""

    def __init__(self, runtimes: Iterable[Runtime], fallback: Dialect) -> None:
        self.runtimes = list(runtimes)
        self._fallback = fallback
        self._router: Router[Endpoint] = Router()
        for runtime in self.runtimes:
            runtime.served = [each.service for each in self.runtimes]
            self._mount(runtime)
        self._claiming = [
            (runtime, runtime.service.claims)
            for runtime in self.runtimes
            if runtime.service.claims is not None
        ]
        self._arriving = [
            (runtime, runtime.service.arriving)
            for runtime in self.runtimes
            if runtime.service.arriving is not None
        ]
        self._roots = sorted(((r.service.root, r) for r in self.runtimes), key=lambda pair: -len(pair[0]))

    def _mount(self, runtime: Runtime) -> None:
        endpoints: dict[tuple[str, str], Endpoint] = {}
        service = runtime.service
        for path, operation in service.operations():
            if operation.policy not in runtime.enforcer.rules and not operation.policy.startswith("@"):
                raise Bug(f"{operation.label}: there is no rule {operation.policy}")
            paths = [path]
            if service.project_in_path and path.startswith(service.path + "/"):
                paths.append(service.path + "/{path_project_id}" + path.removeprefix(service.path))
            for each in paths:
                key = (operation.method, each)
                if key not in endpoints:
                    endpoints[key] = Endpoint(runtime)
                    self._router.add(operation.method, each, endpoints[key])
                endpoints[key].add(operation)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        said = _inbound_request_id(scope)
        token = request_id.set(said)
        call: Call | None = None
        try:
            try:
                for runtime, arriving in self._arriving:
                    if (waiting := arriving(runtime, scope)) is not None:
                        await waiting
                found, endpoint = self._find(scope, receive)
                if endpoint.is_action:
                    await _choose_action(found, endpoint)
                else:
                    found.operation = choose(endpoint.operations, scope["path"], found.version, None)
                call = found
                around = call.runtime.service.around
                reply = await (dispatch(call) if around is None else around(call, dispatch))
            except ClientGone:
                return
            except ApiError as error:
                reply = self._error_reply(scope, call, error)
            except DatabaseGone as error:
                reply = self._error_reply(scope, call, Unavailable(str(error)))
            except Exception:
                log.exception("request failed", method=scope["method"], path=scope["path"])
                message = f"The cloud made a mistake; the log has more under {said}."
                reply = self._error_reply(scope, call, ApiError(message))
            self._stamp(scope, call, reply, said)
            with suppress(Disconnected):
                if not _answered(reply, scope):
                    await _send(reply, scope, send)
        finally:
            request_id.reset(token)
        took = time.perf_counter() - started
        label = call.operation.label if call is not None else "none"
        metrics.observe_request(label, reply.status, took)
        answered(scope["method"], scope["path"], reply.status, round(took * 1000, 2), said)

    def _claimed(self, scope: Scope) -> tuple[Runtime, str] | None:
        """The service that takes the request wherever its path leads, and the path that it has there."""
        for runtime, claims in self._claiming:
            path = claims(runtime, scope)
            if path is not None:
                return runtime, path
        return None

    def _find(self, scope: Scope, receive: Receive) -> tuple[Call, Endpoint]:
        """What the request is for; which of the endpoint's operations is not chosen yet."""
        claimed = self._claimed(scope)
        match = self._router.find(scope["path"] if claimed is None else claimed[1])
        if (
            match is None
            or ("\0" in scope["path"] and self._dialect(scope, None)[0].nul_names_nothing)
            or (scope["path"].endswith("/") and self._names_nothing(scope))
        ):
            raise NotFound(f"There is nothing at {scope['path']}.")
        method: str = scope["method"]
        found = match.get(method) or (match.get("GET") if method == "HEAD" else None)
        if found is None and scope["path"].endswith("/"):
            raise NotFound(
                f"There is nothing at {scope['path']}."
            )  # an empty id is meant, not the collection
        if found is None:
            methods = ", ".join(match.methods)
            raise MethodNotAllowed(
                f"{scope['path']} knows {methods}, not {method}.", headers={"allow": methods}
            )
        endpoint, params = found
        service = endpoint.runtime.service
        call = Call(scope, receive, endpoint.runtime, endpoint.operations[0], params)
        if service.versions is not None:
            call.version = service.versions.negotiate(call.header)
        return call, endpoint

    def _names_nothing(self, scope: Scope) -> bool:
        dialect, runtime = self._dialect(scope, None)
        return (
            runtime is not None
            and dialect.slash_names_nothing
            and len(scope["path"]) > len(runtime.service.path) + 1
        )

    def _dialect(self, scope: Scope, call: Call | None) -> tuple[Dialect, Runtime | None]:
        if call is not None:
            return call.runtime.service.dialect, call.runtime
        if (claimed := self._claimed(scope)) is not None:
            return claimed[0].service.dialect, claimed[0]
        for root, runtime in self._roots:
            if scope["path"].startswith(root):
                return runtime.service.dialect, runtime
        return self._fallback, None

    def _error_reply(self, scope: Scope, call: Call | None, error: ApiError) -> Reply:
        dialect, _ = self._dialect(scope, call)
        headers = {**dialect.challenge, **error.headers} if error.status == 401 else dict(error.headers)
        if dialect.page is not None:
            media_type, body = dialect.page(error)
            headers.setdefault("content-type", media_type)
            return Reply(error.status, body, headers)
        return Reply.json(dialect.envelope(error, request_id.get()), error.status, headers)

    def _stamp(self, scope: Scope, call: Call | None, reply: Reply, said: str) -> None:
        dialect, runtime = self._dialect(scope, call)
        headers = reply.headers
        for name in dialect.request_id_headers:
            headers[name] = said
        if dialect.stamps is not None:
            headers.update(dialect.stamps(said))
        if runtime is not None and (versions := runtime.service.versions) is not None:
            version = call.version if call is not None and call.version is not None else versions.lowest()
            headers.update(versions.headers(version))
        if call is not None and call.response_headers:
            headers.update(call.response_headers)

    def operations(self) -> Sequence[tuple[Runtime, str, Operation]]:
        """Everything that is served: for OpenAPI, golden files and tests."""
        return [
            (runtime, path, operation)
            for runtime in self.runtimes
            for path, operation in runtime.service.operations()
        ]


async def _choose_action(call: Call, endpoint: Endpoint) -> None:
    await authenticate(call)
    action, raw = bodies.decode_action(await call.body(), call.runtime.service.dialect)
    dict.__setitem__(call.scope, "pileus.action", raw)  # type: ignore[index]  # ASGI's scopes are dicts
    try:
        call.operation = choose(endpoint.operations, call.path, call.version, action)
    except NotFound as error:
        if action is not None:
            raise BadRequest(error.message) from error
        raise


def _overlap(one: Operation, other: Operation) -> bool:
    starts = [v for v in (one.since, other.since) if v is not None]
    ends = [v for v in (one.until, other.until) if v is not None]
    return not starts or not ends or max(starts) <= min(ends)


def _inbound_request_id(scope: Scope) -> str:
    """The caller's id where it sent a well-formed one, so that one id runs through all services."""
    for name, value in scope["headers"]:
        if name == _GLOBAL_ID and _REQUEST_ID.fullmatch(value):
            text: str = value.decode()
            return text
    return new_request_id()


def _answered(reply: Reply, scope: Scope) -> bool:
    """Whether it could be given as a whole, which spares most requests ASGI's messages."""
    if reply.stream is not None or reply.file is not None or "extensions" not in scope:
        return False
    answer = scope["extensions"].get("pileus.answer")
    if answer is None:
        return False
    if reply.status not in (204, 304) and "content-length" not in reply.headers:
        reply.headers["content-length"] = str(len(reply.body))
    answer(reply.status, reply.headers, reply.body)
    return True


async def _send(reply: Reply, scope: Scope, send: Send) -> None:
    headers = [
        (name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in reply.headers.items()
    ]
    start = {"type": "http.response.start", "status": reply.status, "headers": headers}
    is_head = scope["method"] == "HEAD"
    if reply.file is not None:
        with closing(reply.file.file):
            await send(start)
            await _send_file(reply.file, scope, send)
    elif reply.stream is not None:
        await send(start)
        async with aclosing(reply.stream) as stream:
            if not is_head:
                async for chunk in stream:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    else:
        if reply.status not in (204, 304) and "content-length" not in reply.headers:
            headers.append((b"content-length", b"%d" % len(reply.body)))
        await send(start)
        await send({"type": "http.response.body", "body": b"" if is_head else reply.body, "more_body": False})


async def _send_file(part: FileRange, scope: Scope, send: Send) -> None:
    if "http.response.zerocopysend" in scope.get("extensions", ()):
        what = {"file": part.file.fileno(), "offset": part.offset, "count": part.length}
        await send({"type": "http.response.zerocopysend", **what, "more_body": False})
        return
    if scope["method"] != "HEAD":
        async for chunk in part.read():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def scope_of(
    method: str, path: str, headers: list[tuple[bytes, bytes]], query: bytes, **more: Any
) -> dict[str, Any]:
    """An ASGI scope for a call that did not come over a socket."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": headers,
        "client": None,
        "server": None,
        **more,
    }
