"""Buckets as web sites: operations, and the pages themselves.

A site is what `/s3-website/BUCKET/` is below, without a signature; pages are read as everybody may read them.
"""

from __future__ import annotations

import time
from functools import lru_cache
from html import escape
from urllib.parse import quote

from pileus.kernel.api.answer import NOTHING, WHATEVER
from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.errors import ApiError
from pileus.kernel.http.reply import Reply
from pileus.services.object_store.content import Content
from pileus.services.object_store.s3 import (
    authorize,
    body,
    documents,
    hooks,
    log_records,
    objects,
    place,
    settings,
    website,
)
from pileus.services.object_store.s3.errors import S3Error, translated
from pileus.services.object_store.s3.operations import operations
from pileus.services.object_store.s3.request import Request

SETTING = "website"
MAX_BYTES = 128 * 1024
ROOT = "WebsiteConfiguration"
BASE = "/s3-website"
REDIRECT, KEPT_REDIRECT = "x-amz-website-redirect-location", "s3-redirect"
routes = Routes(base=BASE)
_ALSO = {206: WHATEVER, **dict.fromkeys((301, 302, 303, 304, 307, 308), NOTHING)}


@lru_cache(maxsize=256)
def _read(text: str) -> website.Configuration:
    return documents.read(text.encode(), website.Configuration, ROOT)


def _found(request: Request) -> website.Configuration:
    text = settings.load(request.metadata, SETTING)
    if text is None:
        raise S3Error(
            "NoSuchWebsiteConfiguration",
            "The specified bucket does not have a website configuration",
            details={"BucketName": request.bucket},
        )
    return _read(text)


@operations.bucket(
    "GET", "website", action="s3:GetBucketWebsite", answers=documents.media(website.Configuration, ROOT)
)
async def get_website(request: Request) -> Reply:
    """How the bucket is served as a web site."""
    return documents.reply(_found(request), ROOT)


@operations.bucket("PUT", "website", action="s3:PutBucketWebsite")
async def put_website(request: Request) -> Reply:
    """Makes the bucket a web site."""
    given = website.read(await body.whole(request, MAX_BYTES))
    await settings.store(request, {SETTING: documents.kept(given, ROOT)})
    return Reply(200)


@operations.bucket("DELETE", "website", action="s3:DeleteBucketWebsite", status=204)
async def delete_website(request: Request) -> Reply:
    """The bucket is no web site any more."""
    await settings.store(request, {SETTING: None})
    return Reply(204)


def take(upload: hooks.Upload, what: hooks.What) -> None:
    """An object may say that its page is elsewhere; a copy of it does not."""
    upload.system.pop(KEPT_REDIRECT, None)
    if (to := upload.request.headers.get(REDIRECT)) is not None and what != "part":
        if not to.startswith(("/", "http://", "https://")) or len(to) > 2048 or not to.isprintable():
            raise S3Error(
                "InvalidRedirectLocation",
                "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
            )
        upload.system[KEPT_REDIRECT] = to


def describe_given(request: Request, content: Content, headers: dict[str, str]) -> None:
    if (to := content.kept.system.get(KEPT_REDIRECT)) is not None:
        headers[REDIRECT] = to


hooks.TAKING.append(take)
hooks.DESCRIBING.append(describe_given)


async def _enter(call: Call) -> Reply:
    if call.path.count("/") == 2:  # a site's first page is below its name
        return Reply(302, headers={"location": quote(call.path) + "/"})
    bucket, _, key = call.path.removeprefix(BASE + "/").partition("/")
    request, began = Request(call, bucket, key, None, None), time.perf_counter()
    request.version_id = None  # pages are what is newest
    reply = await _serve(request)
    if log_records.wanted(request):
        reply = log_records.answered(request, reply, began, family="WEBSITE")
    return reply


@routes.add("GET", "/{bucket}", policy=ANYONE, answers=WHATEVER, also=_ALSO)
async def get_start(call: Call) -> Reply:
    """The first page of a bucket's web site."""
    return await _enter(call)


@routes.add("HEAD", "/{bucket}", policy=ANYONE, also=_ALSO)
async def head_start(call: Call) -> Reply:
    """The first page of a bucket's web site, without its text."""
    return await _enter(call)


@routes.add("GET", "/{bucket}/{key:path}", policy=ANYONE, answers=WHATEVER, also=_ALSO)
async def get_page(call: Call) -> Reply:
    """A page of a bucket's web site."""
    return await _enter(call)


@routes.add("HEAD", "/{bucket}/{key:path}", policy=ANYONE, also=_ALSO)
async def head_page(call: Call) -> Reply:
    """A page of a bucket's web site, without its text."""
    return await _enter(call)


async def _serve(request: Request) -> Reply:
    key, found = request.key, None
    try:
        if "\0" in request.call.path:
            raise S3Error("InvalidURI", "Couldn't parse the specified URI.")
        place.check_key(key)
        await request.find_bucket()
        found = _found(request)
        if (going := website.routed(found, key)) is not None:
            return _redirect(request, going)
        return await _page(request, website.key(found, key))
    except ApiError as error:
        if found is None:  # there is no site that could say it in its way
            raise translated(error) from error
        return await _failed(request, found, key, translated(error))


async def _page(request: Request, key: str) -> Reply:
    request.key = key
    await authorize.require(request, "s3:GetObject")
    with_body = request.call.method != "HEAD"
    page = await objects.give(request, await objects.look(request), with_body=with_body)
    location = page.headers.get(REDIRECT)
    if location is not None:
        return Reply(301, headers={"location": location})
    return page


async def _failed(request: Request, found: website.Configuration, key: str, error: S3Error) -> Reply:
    """As a rule for the error says; else the site's own page of errors, else one that names the error."""
    if error.status in (403, 404):
        if error.status == 404 and key and not key.endswith("/") and await _is_folder(request, found, key):
            return Reply(302, headers={"location": f"{_root(request)}{quote(key)}/"})
        if (going := website.routed(found, key, error.status)) is not None:
            return _redirect(request, going)
        if found.error_document is not None:
            try:
                page = await _page(request, found.error_document.key)
            except ApiError:
                page = None
            if page is not None and page.status == 200:
                page.status = error.status
                return page
    return Reply(error.status, _text(error), {"content-type": "text/html; charset=utf-8", **error.headers})


async def _is_folder(request: Request, found: website.Configuration, key: str) -> bool:
    request.key = website.key(found, key + "/")
    return (
        await authorize.allows(request, "s3:GetObject") and await request.state.find(request.name) is not None
    )


def _text(error: S3Error) -> bytes:
    lines = {"Code": error.kind, "Message": error.message, **error.details}
    items = "".join(f"<li>{escape(name)}: {escape(value)}</li>" for name, value in lines.items())
    title = f"{error.status} {escape(error.title)}"
    return (
        f"<html><head><title>{title}</title></head><body><h1>{title}</h1><ul>{items}</ul></body></html>"
    ).encode("utf-8", "replace")


def _root(request: Request) -> str:
    return f"{BASE}/{quote(request.bucket)}/"


def _redirect(request: Request, going: website.Going) -> Reply:
    path = quote(going.key)
    if going.host is None and going.protocol is None:
        return Reply(going.status, headers={"location": _root(request) + path})
    scheme, _, own = request.call.root_url.partition("://")
    if going.host is None:
        return Reply(going.status, headers={"location": f"{going.protocol}://{own}{_root(request)}{path}"})
    return Reply(going.status, headers={"location": f"{going.protocol or scheme}://{going.host}/{path}"})
