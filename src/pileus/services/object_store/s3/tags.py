"""Tags: operations."""

from __future__ import annotations

from pileus.kernel.http.reply import Reply
from pileus.services.object_store.content import Content
from pileus.services.object_store.s3 import (
    authorize,
    body,
    copying,
    documents,
    hooks,
    kept,
    settings,
    tagging,
)
from pileus.services.object_store.s3.buckets import TAGS as BUCKET_TAGS
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.operations import DECIDED_LATER, operations
from pileus.services.object_store.s3.permission import OBJECT_TAGS
from pileus.services.object_store.s3.request import Request

MAX_BYTES = 128 * 1024


@operations.bucket(
    "GET", "tagging", action="s3:GetBucketTagging", answers=documents.media(tagging.Tagging, "Tagging")
)
async def get_bucket_tags(request: Request) -> Reply:
    """The bucket's tags."""
    found = settings.load(request.metadata, BUCKET_TAGS)
    if found is None:
        raise S3Error("NoSuchTagSet", "The TagSet does not exist", details={"BucketName": request.bucket})
    return documents.reply(tagging.document(tagging.load(found)), "Tagging")


@operations.bucket("PUT", "tagging", action="s3:PutBucketTagging", status=204)
async def put_bucket_tags(request: Request) -> Reply:
    """Replaces the bucket's tags."""
    tags = tagging.from_xml(await body.whole(request, MAX_BYTES), tagging.MAX_BUCKET_TAGS)
    await settings.store(request, {BUCKET_TAGS: tagging.stored(tags)})
    return Reply(204)


@operations.bucket("DELETE", "tagging", action="s3:PutBucketTagging", status=204)
async def delete_bucket_tags(request: Request) -> Reply:
    """Takes away the bucket's tags."""
    await settings.store(request, {BUCKET_TAGS: None})
    return Reply(204)


@operations.object(
    "GET", "tagging", action="s3:GetObjectTagging", answers=documents.media(tagging.Tagging, "Tagging")
)
async def get_object_tags(request: Request) -> Reply:
    """An object's tags."""
    found = await kept.find(request)
    system = kept.system(found)
    reply = documents.reply(tagging.document(tagging.load(system.get(OBJECT_TAGS))), "Tagging")
    reply.headers.update(kept.told(request, found))
    return reply


@operations.object("PUT", "tagging", action=DECIDED_LATER)
async def put_object_tags(request: Request) -> Reply:
    """Replaces an object's tags."""
    tags = tagging.from_xml(await body.whole(request, MAX_BYTES), tagging.MAX_OBJECT_TAGS)
    await authorize.require(request, "s3:PutObjectTagging", facts=tagging.facts(tags))
    found = await kept.find(request)
    await kept.change(request, found, {OBJECT_TAGS: tagging.stored(tags) or None})
    return Reply(200, headers=kept.told(request, found))


@operations.object("DELETE", "tagging", action="s3:DeleteObjectTagging", status=204)
async def delete_object_tags(request: Request) -> Reply:
    """Takes away an object's tags."""
    found = await kept.find(request)
    await kept.change(request, found, {OBJECT_TAGS: None})
    return Reply(204, headers=kept.told(request, found))


async def take(upload: hooks.Upload, what: hooks.What) -> None:
    """An upload may bring its tags along; a copy has its source's, which the caller must be allowed to read."""
    if what == "part":
        return
    request = upload.request
    upload.system.pop(OBJECT_TAGS, None)
    if upload.source is not None and copying.directive(request, "x-amz-tagging-directive") == "COPY":
        tags = upload.source.kept.system.get(OBJECT_TAGS)
        if tags is not None and request.copied is not None:
            await authorize.require(request.copied, "s3:GetObjectTagging")
            upload.system[OBJECT_TAGS] = tags
    elif given := request.headers.get("x-amz-tagging"):
        await authorize.require(request, "s3:PutObjectTagging")
        upload.system[OBJECT_TAGS] = tagging.stored(tagging.from_header(given))


def describe_given(request: Request, content: Content, headers: dict[str, str]) -> None:
    if kept_tags := content.kept.system.get(OBJECT_TAGS):
        headers["x-amz-tagging-count"] = str(len(tagging.load(kept_tags)))


hooks.TAKING.insert(0, take)  # lifecycle rules go by them
hooks.DESCRIBING.append(describe_given)
