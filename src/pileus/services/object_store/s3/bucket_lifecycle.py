"""Lifecycle configurations: operations, and what answers tell of them.

The buckets that have one stand in a list of their own, in an account that no project has.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from urllib.parse import quote

from pileus.kernel.http.reply import Reply
from pileus.services.object_store.content import Content
from pileus.services.object_store.s3 import body, documents, hooks, lifecycle, settings, tagging
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.lifecycle import Configuration, Subject
from pileus.services.object_store.s3.operations import operations
from pileus.services.object_store.s3.permission import OBJECT_TAGS
from pileus.services.object_store.s3.request import Request

SETTING = "lifecycle"
ROOT = "LifecycleConfiguration"
MAX_BYTES = 1024 * 1024
ACCOUNT = ".s3-lifecycle"
BETWEEN = "\x1f"
"""In the list: between an account and a bucket."""
MINIMUM, KEPT_MINIMUM = "x-amz-transition-default-minimum-object-size", "lifecycle-minimum"
MINIMUMS = ("all_storage_classes_128K", "varies_by_storage_class")
"""What is too small for another storage class. There is none here, but clients compare what they set with what is set."""


@lru_cache(maxsize=256)
def _read(text: str) -> Configuration:
    return documents.read(text.encode(), Configuration, ROOT)


def configured(container: Mapping[str, str]) -> Configuration | None:
    text = settings.load(container, SETTING)
    return None if text is None else _read(text)


@operations.bucket(
    "GET", "lifecycle", action="s3:GetLifecycleConfiguration", answers=documents.media(Configuration, ROOT)
)
async def get_lifecycle(request: Request) -> Reply:
    """What is to be removed from the bucket, and when."""
    found = configured(request.metadata)
    if found is None:
        raise S3Error(
            "NoSuchLifecycleConfiguration",
            "The lifecycle configuration does not exist",
            details={"BucketName": request.bucket},
        )
    reply = documents.reply(found, ROOT)
    reply.headers[MINIMUM] = settings.load(request.metadata, KEPT_MINIMUM) or MINIMUMS[0]
    return reply


@operations.bucket("PUT", "lifecycle", action="s3:PutLifecycleConfiguration")
async def put_lifecycle(request: Request) -> Reply:
    """Sets what is to be removed from the bucket, and when."""
    given = lifecycle.read(await body.whole(request, MAX_BYTES))
    minimum = request.headers.get(MINIMUM, MINIMUMS[0])
    if minimum not in MINIMUMS:
        raise S3Error("InvalidArgument", f"{MINIMUM} must be one of {', '.join(MINIMUMS)}")
    state, name = request.state, f"{request.account}{BETWEEN}{request.bucket}"
    await state.listings.set_container(ACCOUNT, name, state.now(), dict, make=True)
    await settings.store(request, {SETTING: documents.kept(given, ROOT), KEPT_MINIMUM: minimum})
    return Reply(200, headers={MINIMUM: minimum})


@operations.bucket("DELETE", "lifecycle", action="s3:PutLifecycleConfiguration", status=204)
async def delete_lifecycle(request: Request) -> Reply:
    """Nothing is removed by rules any more; the next walk forgets the bucket."""
    await settings.store(request, {SETTING: None, KEPT_MINIMUM: None})
    return Reply(204)


def abort_headers(container: Mapping[str, str], key: str, begun_at: datetime) -> dict[str, str]:
    """When an upload that has begun will be aborted, unless it is completed."""
    found = configured(container)
    expiry = None if found is None else lifecycle.upload_aborts(found, key, begun_at)
    if expiry is None:
        return {}
    return {
        "x-amz-abort-date": format_datetime(expiry.at, usegmt=True),
        "x-amz-abort-rule-id": quote(expiry.rule_id),
    }


def _expiry(
    found: Configuration, key: str, size: int, modified_at: datetime, system: Mapping[str, str]
) -> dict[str, str]:
    """When an object will be removed; `system` is what is kept with it."""
    subject = Subject(key, size, modified_at, tagging.load(system.get(OBJECT_TAGS)))
    expiry = lifecycle.expiry(found, subject)
    return {} if expiry is None else {"x-amz-expiration": expiry.header}


def take(upload: hooks.Upload, what: hooks.What) -> None:
    request = upload.request
    found = configured(request.metadata) if what != "part" else None
    if found is None:
        return
    now = request.call.runtime.clock.now()
    if what == "upload":
        upload.headers |= abort_headers(request.metadata, request.key, now)
    else:
        upload.headers |= _expiry(found, request.key, upload.length or 0, now, upload.system)


async def complete(completion: hooks.Completion) -> None:
    request, found = completion.request, configured(completion.request.metadata)
    if found is not None:
        size, now = sum(each.size_bytes for each in completion.parts), request.call.runtime.clock.now()
        completion.headers |= _expiry(found, request.key, size, now, completion.kept.system)


def describe_given(request: Request, content: Content, headers: dict[str, str]) -> None:
    found = configured(request.metadata)
    if found is not None and request.version_id is None:
        changed = datetime.fromtimestamp(content.changed.seconds, UTC)
        headers |= _expiry(found, request.key, content.size_bytes, changed, content.kept.system)


hooks.TAKING.append(take)
hooks.COMPLETING.append(complete)
hooks.DESCRIBING.append(describe_given)
