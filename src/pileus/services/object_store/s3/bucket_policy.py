"""Bucket policies: operations."""

from __future__ import annotations

from pileus.kernel.api.answer import Media
from pileus.kernel.http.reply import JSON, Reply
from pileus.lib.xml_document import Document
from pileus.services.object_store.s3 import body, documents, permission, registry, settings
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.operations import operations
from pileus.services.object_store.s3.permission import POLICY
from pileus.services.object_store.s3.policy.document import MAX_BYTES, Policy, malformed
from pileus.services.object_store.s3.request import Request


class PolicyStatus(Document):
    is_public: bool


def _policy(request: Request) -> str:
    found = settings.load(request.metadata, POLICY)
    if found is None:
        raise S3Error(
            "NoSuchBucketPolicy",
            "The bucket policy does not exist",
            details={"BucketName": request.bucket},
        )
    return found


@operations.bucket("GET", "policy", action="s3:GetBucketPolicy", answers=Media(JSON, {"type": "object"}))
async def get_policy(request: Request) -> Reply:
    """The bucket's policy, as it was put."""
    return Reply(200, _policy(request).encode(), {"content-type": JSON})


@operations.bucket("PUT", "policy", action="s3:PutBucketPolicy", status=204)
async def put_policy(request: Request) -> Reply:
    """Sets who may do what with the bucket, and who may not."""
    text = await body.whole(request, MAX_BYTES + 1)
    policy = Policy(text, request.bucket)
    if policy.public and permission.public_access(request.metadata).block_public_policy:
        raise S3Error(
            "AccessDenied",
            "Access Denied: public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.",
        )
    try:
        kept = text.decode()
    except UnicodeDecodeError:
        raise malformed("The policy is not UTF-8") from None
    await settings.store(request, {POLICY: kept})
    await registry.claim(request.state, request.bucket, request.account)
    return Reply(204)


@operations.bucket("DELETE", "policy", action="s3:DeleteBucketPolicy", status=204)
async def delete_policy(request: Request) -> Reply:
    """Ends the policy."""
    await settings.store(request, {POLICY: None})
    return Reply(204)


@operations.bucket(
    "GET",
    "policyStatus",
    action="s3:GetBucketPolicyStatus",
    answers=documents.media(PolicyStatus, "PolicyStatus"),
)
async def get_policy_status(request: Request) -> Reply:
    """Whether the policy lets in everybody."""
    public = permission.policy_of(_policy(request), request.bucket).public
    return documents.reply(PolicyStatus(is_public=public), "PolicyStatus")
