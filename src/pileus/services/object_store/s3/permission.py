"""What a bucket's policy and its access control lists say to a request, of whichever API.

Ownership decides beside it: an account's owner may do what no policy denies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from pileus.kernel.api.call import Call
from pileus.kernel.context import Context
from pileus.lib.aws_signature import V4
from pileus.lib.xml_document import Document
from pileus.services.object_store import access, metadata, versioning
from pileus.services.object_store.name import ACCOUNT_PREFIX, Name
from pileus.services.object_store.s3 import acl, documents, object_lock, settings, tagging
from pileus.services.object_store.s3.acl import Permission
from pileus.services.object_store.s3.policy.actions import ALWAYS_THE_OWNERS, OF_VERSIONS
from pileus.services.object_store.s3.policy.document import Policy, Principal, Question
from pileus.services.object_store.s3.signature import Signed, moment_of
from pileus.services.object_store.state import ObjectStoreState

POLICY, ACL, OWNERSHIP, PUBLIC_ACCESS = "policy", "acl", "ownership", "public-access"
"""Settings of a bucket. `ACL` is also what an object's is called in its `system`, with `s3-` before it."""
OBJECT_ACL = "s3-acl"
OBJECT_TAGS = "s3-tagging"
ENFORCED = "BucketOwnerEnforced"
TAKEN_AWAY = "TakenAway"
"""Kept for ownership controls that are no more: all is as in a new bucket, but they are not to be found."""
_ON_BUCKET: dict[str, Permission] = {
    "s3:ListBucket": "READ",
    "s3:ListBucketVersions": "READ",
    "s3:ListBucketMultipartUploads": "READ",
    "s3:PutObject": "WRITE",
    "s3:DeleteObject": "WRITE",
    "s3:AbortMultipartUpload": "WRITE",
    "s3:ListMultipartUploadParts": "WRITE",
    "s3:GetBucketAcl": "READ_ACP",
    "s3:PutBucketAcl": "WRITE_ACP",
}
"""What a grant on the bucket lets one do (S3 User Guide, "Mapping of ACL permissions and access policy permissions")."""
_ON_OBJECT: dict[str, Permission] = {
    "s3:GetObject": "READ",
    "s3:GetObjectVersion": "READ",
    "s3:GetObjectAcl": "READ_ACP",
    "s3:GetObjectVersionAcl": "READ_ACP",
    "s3:PutObjectAcl": "WRITE_ACP",
    "s3:PutObjectVersionAcl": "WRITE_ACP",
}
_WAYS: dict[str, access.Way] = {
    "s3:GetObject": "read",
    "s3:GetObjectVersion": "read",
    "s3:ListBucket": "list",
    "s3:PutObject": "write",
    "s3:DeleteObject": "write",
    "s3:DeleteObjectVersion": "write",
    "s3:AbortMultipartUpload": "write",
    "s3:ListMultipartUploadParts": "write",
}
"""What a container's own access lists call it."""


class PublicAccessBlock(Document, omit_defaults=False):
    """What is open to everybody, and may not be or counts for nothing."""

    block_public_acls: bool = False
    ignore_public_acls: bool = False
    block_public_policy: bool = False
    restrict_public_buckets: bool = False


@lru_cache(maxsize=1024)
def policy_of(text: str, bucket: str) -> Policy:
    return Policy(text, bucket)


def public_access(container: Mapping[str, str]) -> PublicAccessBlock:
    """Where nothing is set, nothing is blocked."""
    kept = settings.load(container, PUBLIC_ACCESS)
    return PublicAccessBlock() if kept is None else _block(kept)


@lru_cache(maxsize=64)
def _block(text: str) -> PublicAccessBlock:
    return documents.read(text.encode(), PublicAccessBlock, "PublicAccessBlockConfiguration")


def ownership(container: Mapping[str, str]) -> str:
    found = settings.load(container, OWNERSHIP)
    return ENFORCED if found is None or found == TAKEN_AWAY else found


def is_unquestioned(
    context: Context | None, name: Name, container: Mapping[str, str], state: ObjectStoreState
) -> bool:
    """Whether the caller owns all of the account, and no policy has a say."""
    return settings.load(container, POLICY) is None and access.owns(context, name, state)


async def decide(
    call: Call,
    context: Context | None,
    action: str,
    name: Name,
    container: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
    *,
    version_id: str | None = None,
    signed: Signed | None = None,
    known: Mapping[str, Sequence[str]] | None = None,
) -> bool:
    """Whether the caller may; `container` is the metadata of the one that `name` is in, or is.

    `headers` are the request's, unless others stand for them: a form's fields. `action` is what is done to an object;
    with `version_id` to that version of it. `known` is what else is known of the request, by condition key.
    """
    if version_id is not None:
        action = OF_VERSIONS.get(action, action)
    state: ObjectStoreState = call.runtime.state
    owner = access.owns(context, name, state)
    text = settings.load(container, POLICY)
    if text is not None and not (owner and action in ALWAYS_THE_OWNERS):
        asker = Principal()
        if context is not None:
            asker = Principal(context.project_id, context.user_id, context.user_name)
        facts = _facts(call, asker, call.headers if headers is None else headers, signed)
        facts["s3:resourceaccount"] = [name.account.removeprefix(ACCOUNT_PREFIX)]
        if version_id is not None:
            facts["s3:versionid"] = [version_id]
        if action == "s3:PutObject":
            facts["s3:objectcreationoperation"] = ["true"]
        facts |= known or {}
        if name.object and "existingobjecttag" in text.lower():
            tags = tagging.load((await _system(state, name, container, version_id)).get(OBJECT_TAGS))
            facts |= {f"s3:existingobjecttag/{key.lower()}": [value] for key, value in tags.items()}
        restricted = public_access(container).restrict_public_buckets and not owner
        resource = f"{name.container}/{name.object}" if name.object else name.container
        asked = Question(asker, action, resource, facts)
        said = policy_of(text, name.container).verdict(asked, restricted=restricted)
        if said is not None:
            return said == "allow"
    if owner:
        return True
    way = _WAYS.get(action)
    level = await access.account_level(state, name, context)
    if level == "admin" or (way == "write" and level == "read-write") or (way in ("read", "list") and level):
        return True
    public = not public_access(container).ignore_public_acls
    if way is not None:
        swifts = container.get(f"x-container-{'write' if way == 'write' else 'read'}", "")
        if not public:
            swifts = ",".join(each for each in swifts.split(",") if not each.startswith((".r:", "*")))
        if swifts and access.granted(swifts, context, call.header("referer"), way):
            return True
    return ownership(container) != ENFORCED and await _granted(
        state, context, action, name, container, version_id, public=public
    )


def _facts(
    call: Call, asker: Principal, headers: Mapping[str, str], signed: Signed | None
) -> dict[str, Sequence[str]]:
    now = call.runtime.clock.now()
    client = call.scope.get("client")
    facts = {
        "aws:currenttime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:epochtime": str(int(now.timestamp())),
        "aws:securetransport": "true" if call.scope.get("scheme") == "https" else "false",
        "aws:sourceip": client[0] if client else None,
        "aws:useragent": call.header("user-agent"),
        "aws:referer": call.header("referer"),
        "aws:userid": asker.user_id,
        "aws:username": asker.user_name,
        "aws:principalaccount": asker.project_id,
        "aws:principalarn": asker.arn,
        "aws:requestedregion": call.runtime.state.settings.s3_region or "us-east-1",
        "aws:viaawsservice": "false",
        "aws:principaltype": "Anonymous" if asker.project_id is None else "User",
        "s3:prefix": call.arg("prefix"),
        "s3:delimiter": call.arg("delimiter"),
        "s3:max-keys": call.arg("max-keys"),
        "s3:if-match": call.header("if-match"),
        "s3:if-none-match": call.header("if-none-match"),
        **_signature_facts(signed, now),
    }
    for header, value in headers.items():
        if header.startswith("x-amz-"):
            facts[f"s3:{header}"] = value
            if header.startswith("x-amz-object-lock-"):
                facts[f"s3:{header.removeprefix('x-amz-')}"] = value
    found: dict[str, Sequence[str]] = {name: [value] for name, value in facts.items() if value is not None}
    found |= object_lock.remaining_days(headers.get("x-amz-object-lock-retain-until-date"), now)
    if tags := headers.get("x-amz-tagging"):
        found |= tagging.facts(tagging.from_header(tags))
    return found


def _signature_facts(signed: Signed | None, now: datetime) -> dict[str, str | None]:
    """Amazon S3 API reference, "Signature Version 4 authentication specific policy keys"."""
    if signed is None:
        return {}
    signed_at = moment_of(signed.moment) if signed.moment else None
    age = None if signed_at is None else (now - signed_at) // timedelta(milliseconds=1)
    return {
        "s3:authtype": signed.way,
        "s3:signatureversion": V4 if signed.version == 4 else "AWS",
        "s3:signatureage": None if age is None else str(age),
    }


async def _system(
    state: ObjectStoreState, name: Name, container: Mapping[str, str], version_id: str | None
) -> Mapping[str, str]:
    """What is kept with the object, or with the version of it."""
    found = await versioning.find(state, name, container, version_id)
    return {} if found is None else metadata.decode(found.version.metadata).system


async def _granted(
    state: ObjectStoreState,
    context: Context | None,
    action: str,
    name: Name,
    container: Mapping[str, str],
    version_id: str | None,
    *,
    public: bool,
) -> bool:
    if (permission := _ON_BUCKET.get(action)) is not None:
        return acl.permits(acl.load(settings.load(container, ACL)), context, permission, public=public)
    if (permission := _ON_OBJECT.get(action)) is not None and name.object:
        grants = acl.load((await _system(state, name, container, version_id)).get(OBJECT_ACL))
        return acl.permits(grants, context, permission, public=public)
    return False
