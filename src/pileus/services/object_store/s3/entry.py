"""Every request for S3 enters here: it is opened, its operation is chosen, the caller is allowed, the handler runs."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pileus.kernel.api.answer import NOTHING
from pileus.kernel.api.body_stream import ClientGone
from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.errors import ApiError
from pileus.kernel.http.reply import Reply
from pileus.services.object_store import admission
from pileus.services.object_store.s3 import authorize, cross_origin, log_records, place, post_form, storing
from pileus.services.object_store.s3.errors import S3Error, translated
from pileus.services.object_store.s3.operations import DECIDED_LATER, Level, S3Operation, operations
from pileus.services.object_store.s3.request import Request, opened

_WRITES = ("PUT", "POST", "DELETE")
_DELETING = ((), ("uploadId",))
"""What a DELETE names that takes bytes away, not a setting."""


_LATER = (("uploads",), ("partNumber", "uploadId"))
"""What makes no object yet, but something that may become one."""
_NO_OBJECT_YET = {"s3:objectcreationoperation": ["false"]}


async def enter(call: Call) -> Reply:
    resource, request, began = call.path, None, time.perf_counter()
    try:
        request = await opened(call)
        reply = await _run(request)
        return log_records.answered(request, reply, began) if log_records.wanted(request) else reply
    except (ApiError, ClientGone) as error:
        found = _incomplete() if isinstance(error, ClientGone) else translated(error)
        found.details.setdefault("Resource", resource)
        if request is not None:
            found.headers.update(cross_origin.headers(request))
        if (request := await _for_log(call, request)) is not None:
            log_records.failed(request, found, began)
        raise found from error


def _incomplete() -> S3Error:
    """A client that has gone does not read it. One that only sends no more, or a proxy in its place, does."""
    return S3Error(
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    )


async def _run(request: Request) -> Reply:
    method = request.call.method
    if method == "OPTIONS":
        await request.find_bucket()
        return cross_origin.preflight(request)
    if post_form.is_form(request):
        return await _form(request)
    operation = operations.choose(request)
    if operation.makes_bucket:
        if not request.account:
            raise authorize.denied()
        await authorize.require(request, operation.action)
    elif operation.level != "service":
        if operation.action == "s3:PutObject" and request.call.scope["query_string"]:
            _check_write(request, operation)
        await request.find_bucket()
        authorize.check_owner(request, "x-amz-expected-bucket-owner", request.account)
        if operation.action != DECIDED_LATER:
            facts = _NO_OBJECT_YET if operation.query in _LATER else None
            await authorize.require(request, operation.action, facts=facts)
    if method in _WRITES:
        await _admit(request, operation)
    reply = await operation.handler(request)
    reply.headers.update(cross_origin.headers(request))
    return reply


def _check_write(request: Request, operation: S3Operation) -> None:
    """400 where it would make another object than is meant."""
    if request.version_id is not None:
        raise S3Error("InvalidArgument", "This operation does not accept a version-id.")
    if not operation.query and not request.call.query.keys().isdisjoint(("partNumber", "uploadId")):
        raise S3Error("InvalidArgument", "A part needs both partNumber and uploadId.")


async def _for_log(call: Call, request: Request | None) -> Request | None:
    """A request that failed, if the bucket's log is to have it: though nobody knows who asks, or what for."""
    try:
        if request is None:
            where = place.locate(call.scope, call.header("host") or "", call.runtime.state.settings.s3_domain)
            request = Request(call, where.bucket, where.key, None, None)
        if request.info is None and request.bucket:
            await request.find_bucket()
    except ApiError:
        return None
    return request if log_records.wanted(request) else None


async def _admit(request: Request, operation: S3Operation) -> None:
    """405 where the bucket's account is closed, 503 where it is written too often."""
    deletes = operation.method == "DELETE" and operation.query in _DELETING
    many = operation.query == ("delete",)
    await admission.require_writable(request.state, request.name, deletes=deletes or many)
    if operation.level == "object" or not operation.query:
        await storing.take_turn(request, request.name)


async def _form(request: Request) -> Reply:
    await request.find_bucket()
    more = cross_origin.headers(request)
    reply = await post_form.post_object(request)
    reply.headers.update(more)
    return reply


_METHODS: Mapping[tuple[Level, str], Mapping[str, str]] = {
    ("service", ""): {"GET": "The caller's buckets."},
    ("bucket", "/{bucket}"): {
        "GET": "Lists a bucket, or shows what is set for it.",
        "PUT": "Makes a bucket, or sets something for it.",
        "POST": "Deletes many objects, or takes a form.",
        "DELETE": "Deletes a bucket, or what is set for it.",
        "OPTIONS": "What pages of other sites may ask.",
        "HEAD": "Whether there is such a bucket.",
    },
    ("object", "/{bucket}/{key:path}"): {
        "GET": "Gives an object, or shows what is set for it.",
        "PUT": "Stores an object or a part of one, copies one, or sets something for it.",
        "POST": "Begins or completes an upload in parts.",
        "DELETE": "Deletes an object, or what is set for it.",
        "OPTIONS": "What pages of other sites may ask.",
        "HEAD": "An object's metadata.",
    },
}


def mounted() -> Routes:
    """The kernel knows addresses and methods; which operation is meant, the table says. Asked when that is whole."""
    routes = Routes()
    for (level, path), summaries in _METHODS.items():
        for method, summary in summaries.items():
            routes.add(method, path, policy=ANYONE, raw=True, **_answers(level, method))(_handler(summary))
    return routes


def _handler(summary: str) -> Callable[[Call], Awaitable[Reply]]:
    async def handler(call: Call) -> Reply:
        return await enter(call)

    handler.__doc__ = summary
    return handler


def _answers(level: Level, method: str) -> dict[str, Any]:
    found = operations.answers(level, method)
    if (level, method) == ("bucket", "POST"):
        for status, answer in post_form.ANSWERS.items():
            found[status] = (*found.get(status, ()), answer)
    status = min(found, default=200)
    return {"status": status, "answers": found.pop(status, NOTHING), "also": found}
