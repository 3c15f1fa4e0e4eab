"""Who may do what to a bucket and its objects: see `permission`, which decides for Swift's API as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pileus.services.object_store.name import ACCOUNT_PREFIX, Name
from pileus.services.object_store.s3 import permission
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.request import Request


async def allows(
    request: Request,
    action: str,
    name: Name | None = None,
    version_id: str | None = None,
    facts: Mapping[str, Sequence[str]] | None = None,
) -> bool:
    """Of the request's own bucket, key and version, unless `name` and `version_id` say otherwise. `facts` are of its
    document, by condition key."""
    if name is None:
        name, version_id = request.name, request.version_id
    metadata = request.metadata
    if (name.account, name.container) != (request.account, request.bucket):
        info = await request.state.container(name.account, name.container)
        metadata = {} if info is None else info.metadata
    if permission.is_unquestioned(request.context, name, metadata, request.state):
        return True
    return await permission.decide(
        request.call,
        request.context,
        action,
        name,
        metadata,
        request.headers,
        version_id=version_id,
        signed=request.signed,
        known=facts,
    )


async def require(
    request: Request,
    action: str,
    name: Name | None = None,
    version_id: str | None = None,
    facts: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """403 where the caller may not."""
    if not await allows(request, action, name, version_id, facts):
        raise denied()


def check_owner(request: Request, header: str, account: str) -> None:
    """403 where the bucket is somebody else's than the client expects."""
    expected = request.headers.get(header)
    if expected is not None and ACCOUNT_PREFIX + expected != account:
        raise denied()


def denied() -> S3Error:
    return S3Error("AccessDenied", "Access Denied")
