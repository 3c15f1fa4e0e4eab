"""Access control lists, ownership of objects, public access: operations."""

from __future__ import annotations

from typing import Literal

from pileus.kernel.http.reply import Reply
from pileus.lib.xml_document import Document
from pileus.services.object_store.s3 import (
    acl,
    authorize,
    body,
    documents,
    hooks,
    kept,
    permission,
    registry,
    settings,
)
from pileus.services.object_store.s3.acl import Grant
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.operations import operations
from pileus.services.object_store.s3.permission import (
    ACL,
    ENFORCED,
    OBJECT_ACL,
    OWNERSHIP,
    PUBLIC_ACCESS,
    TAKEN_AWAY,
)
from pileus.services.object_store.s3.request import Request

MAX_BYTES = 64 * 1024
SWIFT_LISTS = ("x-container-read", "x-container-write")
OWNERSHIPS = (ENFORCED, "BucketOwnerPreferred", "ObjectWriter")


class OwnershipRule(Document):
    object_ownership: Literal["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"]


class OwnershipControls(Document):
    rule: list[OwnershipRule]


def _owner(request: Request) -> str:
    """Whose everything in the bucket is: the id of its project."""
    return request.account.removeprefix("AUTH_")


def _require_lists(request: Request, grants: tuple[Grant, ...]) -> None:
    """400 where the bucket's owner owns all that is in it, so that lists say nothing; 403 where they may not be public."""
    if permission.ownership(request.metadata) == ENFORCED and not acl.only_owner(grants, _owner(request)):
        raise S3Error("AccessControlListNotSupported", "The bucket does not allow ACLs")
    blocked = permission.public_access(request.metadata).block_public_acls
    if blocked and any(each.public for each in grants):
        raise S3Error(
            "AccessDenied", "Access Denied: public ACLs are prevented by the BlockPublicAcls setting in S3."
        )


async def _given(request: Request) -> tuple[Grant, ...]:
    """By headers, or by a document."""
    document = await body.whole(request, MAX_BYTES)
    grants = acl.from_headers(request.headers, _owner(request))
    if grants is not None and document:
        raise S3Error("UnexpectedContent", "This request does not support content")
    if grants is None:
        if not document:
            raise S3Error(
                "MissingSecurityHeader",
                "Your request was missing a required header: x-amz-acl, or a document",
            )
        grants = acl.from_xml(document, _owner(request))
    _require_lists(request, grants)
    return grants


@operations.bucket(
    "GET",
    "acl",
    action="s3:GetBucketAcl",
    answers=documents.media(acl.AccessControlPolicy, "AccessControlPolicy"),
)
async def get_bucket_acl(request: Request) -> Reply:
    """Who may do what with a bucket; what Swift's lists of the container say is among it."""
    owner = _owner(request)
    grants = acl.load(settings.load(request.metadata, ACL)) or (Grant(owner, "FULL_CONTROL"),)
    grants = tuple(dict.fromkeys((*grants, *acl.swift_grants(request.metadata))))
    return documents.reply(acl.document(grants, owner), "AccessControlPolicy")


@operations.bucket("PUT", "acl", action="s3:PutBucketAcl")
async def put_bucket_acl(request: Request) -> Reply:
    """Sets who may do what with a bucket; Swift's lists of the container end, since these are all there is."""
    grants = await _given(request)
    await settings.store(request, {ACL: acl.stored(grants)}, without=SWIFT_LISTS)
    await registry.claim(request.state, request.bucket, request.account)
    return Reply(200)


@operations.object(
    "GET",
    "acl",
    action="s3:GetObjectAcl",
    answers=documents.media(acl.AccessControlPolicy, "AccessControlPolicy"),
)
async def get_object_acl(request: Request) -> Reply:
    """Who may do what with an object."""
    owner = _owner(request)
    found = await kept.find(request)
    system = kept.system(found)
    grants = acl.load(system.get(OBJECT_ACL)) or (Grant(owner, "FULL_CONTROL"),)
    return documents.reply(acl.document(grants, owner), "AccessControlPolicy")


@operations.object("PUT", "acl", action="s3:PutObjectAcl")
async def put_object_acl(request: Request) -> Reply:
    """Sets who may do what with an object."""
    grants = await _given(request)
    found = await kept.find(request)
    await kept.change(request, found, {OBJECT_ACL: acl.stored(grants)})
    await registry.claim(request.state, request.bucket, request.account)
    return Reply(200)


async def take(upload: hooks.Upload, what: hooks.What) -> None:
    """An upload may bring its list along; that of what is copied stays behind."""
    upload.system.pop(OBJECT_ACL, None)
    request = upload.request
    grants = acl.from_headers(request.headers, _owner(request)) if what != "part" else None
    if grants is None:
        return
    _require_lists(request, grants)
    if not acl.only_owner(grants, _owner(request)):
        await authorize.require(request, "s3:PutObjectAcl")
        upload.system[OBJECT_ACL] = acl.stored(grants)
        await registry.claim(request.state, request.bucket, request.account)


hooks.TAKING.append(take)


def of_new_bucket(request: Request) -> dict[str, str]:
    """What a request that makes a bucket says of its owner and its list, as settings."""
    owned = request.headers.get("x-amz-object-ownership", ENFORCED)
    if owned not in OWNERSHIPS:
        raise S3Error("InvalidArgument", "Invalid x-amz-object-ownership header")
    grants = acl.from_headers(request.headers, _owner(request))
    found = {}
    if grants is not None and not acl.only_owner(grants, _owner(request)):
        if owned == ENFORCED:
            raise S3Error(
                "InvalidBucketAclWithObjectOwnership",
                "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
            )
        found[settings.PREFIX + ACL] = acl.stored(grants)
    if owned != ENFORCED:
        found[settings.PREFIX + OWNERSHIP] = owned
    return found


hooks.MAKING.append(of_new_bucket)


@operations.bucket(
    "GET",
    "ownershipControls",
    action="s3:GetBucketOwnershipControls",
    answers=documents.media(OwnershipControls, "OwnershipControls"),
)
async def get_ownership(request: Request) -> Reply:
    """Who owns what others put into the bucket; 404 once that was taken away."""
    if settings.load(request.metadata, OWNERSHIP) == TAKEN_AWAY:
        raise S3Error(
            "OwnershipControlsNotFoundError",
            "The bucket ownership controls were not found",
            details={"BucketName": request.bucket},
        )
    rule = OwnershipRule(object_ownership=permission.ownership(request.metadata))  # type: ignore[arg-type]
    return documents.reply(OwnershipControls(rule=[rule]), "OwnershipControls")


@operations.bucket("PUT", "ownershipControls", action="s3:PutBucketOwnershipControls")
async def put_ownership(request: Request) -> Reply:
    """Sets whether access control lists count in the bucket."""
    given = documents.read(await body.whole(request, MAX_BYTES), OwnershipControls, "OwnershipControls")
    if len(given.rule) != 1:
        raise documents.malformed("there is one Rule")
    wanted = given.rule[0].object_ownership
    grants = acl.load(settings.load(request.metadata, ACL))
    if wanted == ENFORCED and not acl.only_owner(grants, _owner(request)):
        raise S3Error(
            "InvalidBucketAclWithObjectOwnership",
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
        )
    await settings.store(request, {OWNERSHIP: wanted})
    return Reply(200)


@operations.bucket("DELETE", "ownershipControls", action="s3:PutBucketOwnershipControls", status=204)
async def delete_ownership(request: Request) -> Reply:
    """Back to what is so where nothing is set: the bucket's owner owns all."""
    await settings.store(request, {OWNERSHIP: TAKEN_AWAY})
    return Reply(204)


@operations.bucket(
    "GET",
    "publicAccessBlock",
    action="s3:GetBucketPublicAccessBlock",
    answers=documents.media(permission.PublicAccessBlock, "PublicAccessBlockConfiguration"),
)
async def get_public_access(request: Request) -> Reply:
    """What is blocked of what would open the bucket to everybody."""
    if settings.load(request.metadata, PUBLIC_ACCESS) is None:
        raise S3Error(
            "NoSuchPublicAccessBlockConfiguration",
            "The public access block configuration was not found",
            details={"BucketName": request.bucket},
        )
    return documents.reply(permission.public_access(request.metadata), "PublicAccessBlockConfiguration")


@operations.bucket("PUT", "publicAccessBlock", action="s3:PutBucketPublicAccessBlock")
async def put_public_access(request: Request) -> Reply:
    """Blocks what would open the bucket to everybody."""
    given = documents.read(
        await body.whole(request, MAX_BYTES), permission.PublicAccessBlock, "PublicAccessBlockConfiguration"
    )
    await settings.store(request, {PUBLIC_ACCESS: documents.kept(given, "PublicAccessBlockConfiguration")})
    return Reply(200)


@operations.bucket("DELETE", "publicAccessBlock", action="s3:PutBucketPublicAccessBlock", status=204)
async def delete_public_access(request: Request) -> Reply:
    """Blocks nothing any more."""
    await settings.store(request, {PUBLIC_ACCESS: None})
    return Reply(204)
