"""What an access log says of one request (S3 User Guide, "Amazon S3 server access log format")."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import quote

from pileus.kernel.http.reply import Reply
from pileus.services.object_store.access_log import Lot
from pileus.services.object_store.name import ACCOUNT_PREFIX
from pileus.services.object_store.s3 import bucket_logging, settings
from pileus.services.object_store.s3.dialect import amz_request_id, page
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.operations import SUBRESOURCES
from pileus.services.object_store.s3.policy.document import Principal
from pileus.services.object_store.s3.request import Request

KEPT = settings.PREFIX + bucket_logging.SETTING
"""In the metadata of a bucket whose requests are logged."""
_TYPES = {
    "delete": "MULTI_OBJECT_DELETE",
    "logging": "LOGGING_STATUS",
    "ownershipControls": "OWNERSHIP_CONTROLS",
    "policy": "BUCKETPOLICY",
    "policyStatus": "BUCKETPOLICY_STATUS",
    "publicAccessBlock": "PUBLIC_ACCESS_BLOCK",
    "requestPayment": "REQUEST_PAYMENT",
    "versions": "BUCKETVERSIONS",
}
_OBJECT_TYPES = {
    "attributes": "OBJECT_ATTRIBUTES",
    "legal-hold": "OBJECT_LOCK_LEGALHOLD",
    "retention": "OBJECT_LOCK_RETENTION",
    "tagging": "OBJECT_TAGGING",
}
"""What resources are called that are not called as in the query."""
_COPY_SOURCE = "x-amz-copy-source"


class Outcome(NamedTuple):
    status: int
    error: str = ""
    """Its code."""
    bytes_sent: int = 0
    object_bytes: int | None = None
    version_id: str | None = None
    turn_around_seconds: float | None = None


def wanted(request: Request) -> bool:
    """Whether what is done to the bucket, or to that which is copied from, is logged."""
    return is_logged(request) or (request.copied is not None and is_logged(request.copied))


def is_logged(request: Request) -> bool:
    return request.info is not None and KEPT in request.info.metadata


def answered(request: Request, reply: Reply, began: float, *, family: str = "REST", error: str = "") -> Reply:
    """Logs the request once its answer is sent; returns that answer. `began` is by `time.perf_counter`."""
    headers = reply.headers
    outcome = Outcome(
        reply.status,
        error,
        0 if request.call.method == "HEAD" else len(reply.body),
        _object_bytes(request, reply),
        headers.get("x-amz-version-id"),
        time.perf_counter() - began,
    )
    if request.copied is not None and is_logged(request.copied):
        what = "PART_GET" if "uploadId" in request.call.query else "OBJECT_GET"
        record(request.copied, outcome._replace(bytes_sent=0), began, f"REST.COPY.{what}")
    if not is_logged(request):
        return reply
    if reply.file is not None:
        # What was sent is to be counted.
        reply.stream, reply.file = reply.file.read(), None
    if reply.stream is None or request.call.method == "HEAD":
        record(request, outcome, began, operation(request, family))
    else:
        reply.stream = _counted(request, reply.stream, outcome, began, operation(request, family))
    return reply


def failed(request: Request, error: S3Error, began: float) -> None:
    """Logs a request that ends in an error."""
    if not is_logged(request):
        return
    sent = 0 if request.call.method == "HEAD" else len(page(error)[1])
    took = time.perf_counter() - began
    outcome = Outcome(error.status, error.kind, sent, None, error.headers.get("x-amz-version-id"), took)
    record(request, outcome, began, operation(request, "REST"))


async def _counted(
    request: Request, stream: AsyncGenerator[bytes, None], outcome: Outcome, began: float, what: str
) -> AsyncGenerator[bytes, None]:
    sent = 0
    try:
        async with aclosing(stream):
            async for chunk in stream:
                sent += len(chunk)
                yield chunk
    finally:
        record(request, outcome._replace(bytes_sent=sent), began, what)


def _object_bytes(request: Request, reply: Reply) -> int | None:
    """Of the object that was given, or taken."""
    if not request.key or reply.status >= 300:
        return None
    if request.call.method in ("GET", "HEAD"):
        text = reply.headers.get("content-range", "").rpartition("/")[2] or reply.headers.get(
            "content-length"
        )
    elif request.call.method == "PUT" and _COPY_SOURCE not in request.headers:
        text = request.headers.get("x-amz-decoded-content-length") or request.headers.get("content-length")
    else:
        text = None
    return int(text) if text and text.isdigit() else None


def operation(request: Request, family: str) -> str:
    """`REST.PUT.OBJECT`: how it came, what was done, to what."""
    call = request.call
    if call.method == "OPTIONS":
        return f"{family}.OPTIONS.PREFLIGHT"
    query = call.query if call.scope["query_string"] else {}
    verb = call.method
    if verb == "PUT" and _COPY_SOURCE in request.headers:
        verb = "COPY"
    if "uploadId" in query:
        return f"{family}.{verb}.{'PART' if call.method == 'PUT' else 'UPLOAD'}"
    for name in sorted(SUBRESOURCES.intersection(query)):
        known = _OBJECT_TYPES.get(name) if request.key else None
        return f"{family}.{verb}.{known or _TYPES.get(name) or name.upper().replace('-', '_')}"
    return f"{family}.{verb}.{'OBJECT' if request.key or call.method == 'POST' else 'BUCKET'}"


def record(request: Request, outcome: Outcome, began: float, what: str, *, key: str | None = None) -> None:
    """Enters a line into the log of the request's bucket. `key`: what it was about, if not the request's own."""
    call, signed = request.call, request.signed
    took = time.perf_counter() - began
    came = call.runtime.clock.now() - timedelta(seconds=took)
    setting = request.metadata[KEPT]
    asker = None
    if request.context is not None:
        asker = Principal(request.context.project_id, request.context.user_id, request.context.user_name).arn
    client = call.scope.get("client")
    raw = (call.scope.get("raw_path") or call.path.encode()).decode("latin-1")
    query = call.scope["query_string"].decode("latin-1")
    key = request.key if key is None else key
    fields = (
        request.account.removeprefix(ACCOUNT_PREFIX),
        request.bucket,
        f"[{came:%d/%b/%Y:%H:%M:%S} +0000]",
        client[0] if client else None,
        asker,
        amz_request_id(call.request_id),
        what,
        quote(key, safe="/-_.~*") if key else None,
        _quoted(
            f"{call.method} {raw}{'?' if query else ''}{query} HTTP/{call.scope.get('http_version', '1.1')}"
        ),
        str(outcome.status),
        outcome.error,
        _number(outcome.bytes_sent),
        _number(outcome.object_bytes),
        str(round(took * 1000)),
        None if outcome.turn_around_seconds is None else str(round(outcome.turn_around_seconds * 1000)),
        _quoted(call.header("referer") or "-"),
        _quoted(call.header("user-agent") or "-"),
        outcome.version_id,
        call.request_id,
        None if signed is None else f"SigV{signed.version}",
        None,  # the cipher: TLS ends before us
        None if signed is None else "QueryString" if signed.way == "REST-QUERY-STRING" else "AuthHeader",
        _word(call.header("host") or ""),
        None,  # TLS' version
        None,  # an access point
        None,  # whether an access control list was needed
    )
    line = " ".join(each or "-" for each in fields) + "\n"
    day = f"{came:%Y-%m-%d}" if _by_day(setting) else ""
    lot = Lot(request.account, request.bucket, setting, day)
    request.state.access_log.add(lot, line.encode("utf-8", "replace"))


def _by_day(setting: str) -> bool:
    enabled = bucket_logging.read(setting).logging_enabled
    return enabled is not None and enabled.by_day


def _number(value: int | None) -> str | None:
    return str(value) if value else None


def _word(text: str) -> str:
    """As one field: whoever asks may not write lines, or fields, of his own."""
    return "".join(each if each.isprintable() and each not in ' "' else f"%{ord(each):02X}" for each in text)


def _quoted(text: str) -> str:
    kept = "".join(each if each.isprintable() and each != '"' else f"%{ord(each):02X}" for each in text)
    return f'"{kept}"'
