"""CORS: operations, answers to browsers that ask beforehand, and headers of all other answers."""

from __future__ import annotations

from functools import lru_cache

from pileus.kernel.http.reply import Reply
from pileus.services.object_store.s3 import body, cors, documents, settings
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.operations import operations
from pileus.services.object_store.s3.request import Request

SETTING = "cors"
MAX_BYTES = 64 * 1024
ROOT = "CORSConfiguration"


@lru_cache(maxsize=256)
def _read(text: str) -> cors.Configuration:
    return documents.read(text.encode(), cors.Configuration, ROOT)


def _found(request: Request) -> cors.Configuration | None:
    text = settings.load(request.metadata, SETTING)
    return None if text is None else _read(text)


@operations.bucket(
    "GET", "cors", action="s3:GetBucketCORS", answers=documents.media(cors.Configuration, ROOT)
)
async def get_cors(request: Request) -> Reply:
    """Which pages of other origins may use the bucket."""
    found = _found(request)
    if found is None:
        raise S3Error(
            "NoSuchCORSConfiguration",
            "The CORS configuration does not exist",
            details={"BucketName": request.bucket},
        )
    return documents.reply(found, ROOT)


@operations.bucket("PUT", "cors", action="s3:PutBucketCORS")
async def put_cors(request: Request) -> Reply:
    """Sets which pages of other origins may use the bucket."""
    given = cors.read(await body.whole(request, MAX_BYTES))
    await settings.store(request, {SETTING: documents.kept(given, ROOT)})
    return Reply(200)


@operations.bucket("DELETE", "cors", action="s3:PutBucketCORS", status=204)
async def delete_cors(request: Request) -> Reply:
    """No pages of other origins any more."""
    await settings.store(request, {SETTING: None})
    return Reply(204)


def preflight(request: Request) -> Reply:
    """The answer to a browser that asks whether a page may; it has no signature, and tells nothing of objects."""
    origin, method = request.headers.get("origin"), request.headers.get("access-control-request-method")
    if not origin or not method:
        raise S3Error("BadRequest", "Insufficient information. Origin request header needed.")
    found = _found(request)
    if found is None:
        raise _refused("CORSResponse: CORS is not enabled for this bucket.")
    names = cors.requested(request.headers.get("access-control-request-headers"))
    rule = cors.chosen(found, origin, method, names)
    if rule is None or not origin.isprintable():
        raise _refused("CORSResponse: This CORS request is not allowed.")
    return Reply(200, headers=rule.answer(origin, names, preflight=True))


def _refused(why: str) -> S3Error:
    return S3Error("AccessForbidden", why)


def headers(request: Request) -> dict[str, str]:
    """What an answer to a page of another origin has more; nothing where the page may not read it."""
    origin = request.headers.get("origin")
    found = _found(request) if origin else None
    if origin is None or found is None:
        return {}
    rule = cors.chosen(found, origin, request.call.method)
    return {} if rule is None else rule.answer(origin, [], preflight=False)
