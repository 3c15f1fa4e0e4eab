"""Who may do what to a bucket and its objects: see `permission`, which decides for Swift's API as well."""

from __future__ import annotations

from pileus.services.object_store.name import ACCOUNT_PREFIX, Name
from pileus.services.object_store.s3 import permission
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.request import Request


async def allows(request: Request, action: str, name: Name | None = None) -> bool:
    """Of the request's own bucket and key, unless it says otherwise."""
    name = name or request.name
    metadata = request.metadata
    if (name.account, name.container) != (request.account, request.bucket):
        info = await request.state.container(name.account, name.container)
        metadata = {} if info is None else info.metadata
    return await permission.decide(request.call, request.context, action, name, metadata, request.headers)


async def require(request: Request, action: str, name: Name | None = None) -> None:
    """403 where the caller may not."""
    if not await allows(request, action, name):
        raise denied()


def check_owner(request: Request, header: str, account: str) -> None:
    """403 where the bucket is somebody else's than the client expects."""
    expected = request.headers.get(header)
    if expected is not None and ACCOUNT_PREFIX + expected != account:
        raise denied()


def denied() -> S3Error:
    return S3Error("AccessDenied", "Access Denied")
