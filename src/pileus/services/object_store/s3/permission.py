"""What a bucket's policy and its access control lists say to a request, of whichever API.

Ownership decides beside it: an account's owner may do what no policy denies.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from pileus.kernel.api.call import Call
from pileus.kernel.context import Context
from pileus.lib.xml_document import Document
from pileus.services.object_store import access, metadata, versioning
from pileus.services.object_store.name import Name
from pileus.services.object_store.s3 import acl, documents, settings, tagging
from pileus.services.object_store.s3.acl import Permission
from pileus.services.object_store.s3.policy.actions import ALWAYS_THE_OWNERS
from pileus.services.object_store.s3.policy.document import Policy, Principal, Question, Verdict
from pileus.services.object_store.state import ObjectStoreState

POLICY, ACL, OWNERSHIP, PUBLIC_ACCESS = "policy", "acl", "ownership", "public-access"
"""Settings of a bucket. `ACL` is also what an object's is called in its `system`, with `s3-` before it."""
OBJECT_ACL = "s3-acl"
OBJECT_TAGS = "s3-tagging"
ENFORCED = "BucketOwnerEnforced"
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
    "s3:ListBucket": "list",
    "s3:PutObject": "write",
    "s3:DeleteObject": "write",
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
    return settings.load(container, OWNERSHIP) or ENFORCED


async def decide(
    call: Call,
    context: Context | None,
    action: str,
    name: Name,
    container: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
) -> bool:
    """Whether the caller may; `container` is the metadata of the one that `name` is in, or is.

    `headers` are the request's, unless others stand for them: a form's fields.
    """
    state: ObjectStoreState = call.runtime.state
    owner = access.owns(context, name, state)
    text = settings.load(container, POLICY)
    if text is not None and not (owner and action in ALWAYS_THE_OWNERS):
        asker = Principal()
        if context is not None:
            asker = Principal(context.project_id, context.user_id, context.user_name)
        facts = _facts(call, asker, call.headers if headers is None else headers)
        said = await _verdict(call, state, asker, action, name, container, text, owner, facts)
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
        call, state, context, action, name, container, public=public
    )


async def _verdict(
    call: Call,
    state: ObjectStoreState,
    asker: Principal,
    action: str,
    name: Name,
    container: Mapping[str, str],
    text: str,
    owner: bool,
    facts: dict[str, list[str]],
) -> Verdict | None:
    if name.object and "existingobjecttag" in text.lower():
        kept = await _system(call, state, name, container)
        for key, value in tagging.load(kept.get(OBJECT_TAGS)).items():
            facts[f"s3:existingobjecttag/{key.lower()}"] = [value]
    resource = f"{name.container}/{name.object}" if name.object else name.container
    restricted = public_access(container).restrict_public_buckets and not owner
    asked = Question(asker, action, resource, facts)
    return policy_of(text, name.container).verdict(asked, restricted=restricted)


def _facts(call: Call, asker: Principal, headers: Mapping[str, str]) -> dict[str, list[str]]:
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
        "aws:principaltype": "Anonymous" if asker.project_id is None else "User",
        "s3:prefix": call.arg("prefix"),
        "s3:delimiter": call.arg("delimiter"),
        "s3:max-keys": call.arg("max-keys"),
        "s3:versionid": call.arg("versionId"),
        "s3:if-match": call.header("if-match"),
        "s3:if-none-match": call.header("if-none-match"),
        **_signature_facts(call),
    }
    for header, value in headers.items():
        if header.startswith("x-amz-"):
            facts[f"s3:{header}"] = value
            if header.startswith("x-amz-object-lock-"):
                facts[f"s3:{header.removeprefix('x-amz-')}"] = value
    found = {name: [value] for name, value in facts.items() if value is not None}
    if tags := headers.get("x-amz-tagging"):
        given = tagging.from_header(tags)
        found["s3:requestobjecttagkeys"] = list(given)
        found |= {f"s3:requestobjecttag/{key.lower()}": [value] for key, value in given.items()}
    return found


def _signature_facts(call: Call) -> dict[str, str | None]:
    authorization = call.header("authorization") or ""
    if authorization.startswith("AWS"):
        fourth = authorization.startswith("AWS4")
        return {
            "s3:authtype": "REST-HEADER",
            "s3:signatureversion": "AWS4-HMAC-SHA256" if fourth else "AWS",
        }
    if "X-Amz-Signature" in call.query:
        return {"s3:authtype": "REST-QUERY-STRING", "s3:signatureversion": "AWS4-HMAC-SHA256"}
    return {}


async def _system(
    call: Call, state: ObjectStoreState, name: Name, container: Mapping[str, str]
) -> Mapping[str, str]:
    """What is kept with the object, or with the version that is asked for."""
    found = await versioning.find(state, name, container, call.arg("versionId"))
    return {} if found is None else metadata.decode(found.version.metadata).system


async def _granted(
    call: Call,
    state: ObjectStoreState,
    context: Context | None,
    action: str,
    name: Name,
    container: Mapping[str, str],
    *,
    public: bool,
) -> bool:
    if (permission := _ON_BUCKET.get(action)) is not None:
        return acl.permits(acl.load(settings.load(container, ACL)), context, permission, public=public)
    if (permission := _ON_OBJECT.get(action)) is not None and name.object:
        grants = acl.load((await _system(call, state, name, container)).get(OBJECT_ACL))
        return acl.permits(grants, context, permission, public=public)
    return False
