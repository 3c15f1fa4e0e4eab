"""Buckets: containers of the project's account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pileus.kernel.http.reply import Reply
from pileus.services.object_store import metadata, versioning
from pileus.services.object_store.listings import Ask, Metadata, NoSuchContainer, NotEmpty
from pileus.services.object_store.s3 import (
    body,
    hooks,
    leavings,
    place,
    registry,
    settings,
    tagging,
    uploads,
    xml,
)
from pileus.services.object_store.s3.authorize import denied
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.operations import not_here, operations
from pileus.services.object_store.s3.request import Request, no_such_bucket, owner_of
from pileus.services.object_store.state import ObjectStoreState

LOCATION = metadata.SYSTEM + "s3-location"
TAGS = "tagging"
OLDEST_REGION = "us-east-1"
"""The region that S3 has no name for in a location."""


def region(request: Request) -> str:
    """Where the bucket is."""
    return region_of(request.state, request.metadata)


def region_of(state: ObjectStoreState, container: Mapping[str, str]) -> str:
    return container.get(LOCATION) or state.settings.s3_region or OLDEST_REGION


def arn(bucket: str) -> str:
    return f"arn:aws:s3:::{bucket}"


@operations.service("GET", action="s3:ListAllMyBuckets", answers=xml.media("ListAllMyBucketsResult"))
async def list_buckets(request: Request) -> Reply:
    """The caller's buckets."""
    if not request.account or request.context is None:
        raise denied()
    wanted_region = request.arg("bucket-region")
    prefix, after = request.arg("prefix") or "", request.arg("continuation-token") or ""
    limit = _limit(request.arg("max-buckets"))
    found: list[tuple[str, xml.Value]] = []
    last = token = None
    while token is None:
        listed = await request.state.listings.list_containers(
            request.account, Ask(marker=last or after, prefix=prefix), "json"
        )
        entries: list[dict[str, Any]] = msgspec.json.decode(listed or b"[]")
        for each in entries:
            if not place.is_addressable(each["name"]):
                continue
            if len(found) == limit:
                token = last
                break
            last = each["name"]
            info = await request.state.container(request.account, last)
            where = region_of(request.state, {} if info is None else info.metadata)
            if wanted_region is not None and wanted_region != where:
                continue
            created = each["last_modified"][:19] + ".000Z"
            bucket = [
                ("Name", last),
                ("CreationDate", created),
                ("BucketRegion", where),
                ("BucketArn", arn(last)),
            ]
            found.append(("Bucket", bucket))
        if len(entries) < Ask().limit:
            break
        last = entries[-1]["name"] if token is None else last
    return xml.reply(
        "ListAllMyBucketsResult",
        [
            ("Owner", owner_of(request.account)),
            ("Buckets", found),
            ("ContinuationToken", token),
            ("Prefix", prefix or None),
        ],
    )


def _limit(text: str | None) -> int:
    if text is None:
        return 10_000
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= 10_000):
        raise S3Error("InvalidArgument", "max-buckets must be between 1 and 10000")
    return int(text)


@operations.bucket("PUT", action="s3:CreateBucket", makes_bucket=True)
async def create_bucket(request: Request) -> Reply:
    """Makes a bucket: a container that is nobody else's bucket."""
    place.check_new_bucket(request.bucket)
    given = await _given(request)
    location = _location(request, given)
    wanted = hooks.making(request) | _tags(given)
    own = await request.state.container(request.account, request.bucket)
    if own is not None:
        raise S3Error(
            "BucketAlreadyOwnedByYou",
            "Your previous request to create the named bucket succeeded and you already own it.",
            details={"BucketName": request.bucket},
        )
    if await registry.claim(request.state, request.bucket, request.account) != request.account:
        raise S3Error(
            "BucketAlreadyExists",
            "The requested bucket name is not available. Please select a different name and try again.",
            details={"BucketName": request.bucket},
        )

    def change(old: Metadata) -> Metadata:
        return {**old, **wanted, **({LOCATION: location} if location else {})}

    state = request.state
    policy = state.policies.default.index
    await state.listings.set_container(
        request.account, request.bucket, state.now(), change, make=True, policy=policy
    )
    state.forget(request.account, request.bucket)
    return Reply(200, headers={"location": f"/{request.bucket}", "x-amz-bucket-arn": arn(request.bucket)})


async def _given(request: Request) -> xml.Node:
    document = await body.whole(request, xml.MAX_BYTES)
    given = xml.read(document or b"<CreateBucketConfiguration/>", "CreateBucketConfiguration")
    if given.child("Location") or given.child("Bucket"):
        raise not_here("directory buckets")
    return given


def _tags(given: xml.Node) -> dict[str, str]:
    """As they are kept with the bucket."""
    pairs = (
        (each.value("Key") or "", each.value("Value") or "")
        for tags in given.children("Tags")
        for each in tags.children("Tag")
    )
    tags = tagging.checked(pairs, tagging.MAX_BUCKET_TAGS)
    return {settings.PREFIX + TAGS: tagging.stored(tags)} if tags else {}


def _location(request: Request, given: xml.Node) -> str:
    """The region that the bucket is wanted in. 400 where it is not this one."""
    wanted = (given.value("LocationConstraint") or "").strip()
    own = request.state.settings.s3_region
    if wanted and own and wanted != own:
        raise S3Error(
            "InvalidLocationConstraint",
            "The specified location-constraint is not valid",
            details={"LocationConstraint": wanted},
        )
    if len(wanted) > 64:
        raise S3Error("InvalidLocationConstraint", "The specified location-constraint is not valid")
    return wanted


@operations.bucket("HEAD", action="s3:ListBucket")
async def head_bucket(request: Request) -> Reply:
    """Whether there is such a bucket, and the caller may list it."""
    return Reply(
        200,
        headers={
            "x-amz-bucket-region": region(request),
            "x-amz-bucket-arn": arn(request.bucket),
            "x-amz-access-point-alias": "false",
            "content-type": xml.TYPE,
        },
    )


@operations.bucket(
    "GET", "location", action="s3:GetBucketLocation", answers=xml.media("LocationConstraint", "string")
)
async def get_bucket_location(request: Request) -> Reply:
    """The bucket's region; none for the oldest."""
    found = region(request)
    return Reply(
        200,
        xml.HEAD
        + f'<LocationConstraint xmlns="{xml.NAMESPACE}">'.encode()
        + (b"" if found == OLDEST_REGION else xml.text(found).encode())
        + b"</LocationConstraint>",
        {"content-type": xml.TYPE},
    )


@operations.bucket("DELETE", action="s3:DeleteBucket", status=204)
async def delete_bucket(request: Request) -> Reply:
    """Deletes an empty bucket."""
    state = request.state
    note = leavings.Note(request.name)
    await leavings.leave(state, note)
    try:
        await versioning.drop(state, request.name)
        await state.listings.delete_container(request.account, request.bucket)
    except NoSuchContainer:
        raise no_such_bucket(request.bucket) from None
    except NotEmpty:
        raise S3Error(
            "BucketNotEmpty",
            "The bucket you tried to delete is not empty",
            details={"BucketName": request.bucket},
        ) from None
    finally:
        state.forget(request.account, request.bucket)
    await uploads.drop(request)
    await registry.release(state, request.bucket, request.account)
    await leavings.drop(state, note)
    return Reply(204)
