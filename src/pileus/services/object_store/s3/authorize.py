"""Who may do what to a bucket and its objects.

Its account's owner may do anything; further deciders are asked in their order, and the first that knows decides. A
decider that denies comes before the owner in `DECIDERS`, one that allows may stand anywhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pileus.services.object_store import access
from pileus.services.object_store.name import Name
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.request import Request

Decider = Callable[[Request, str, Name], Awaitable[bool | None]]
"""`(request, action, what)` to whether it is allowed; None where that is not for it to say."""


async def owner(request: Request, action: str, name: Name) -> bool | None:
    return True if access.owns(request.context, name, request.state) else None


DECIDERS: list[Decider] = [owner]


async def allows(request: Request, action: str, name: Name) -> bool:
    for decide in DECIDERS:
        decided = await decide(request, action, name)
        if decided is not None:
            return decided
    return False


async def require(request: Request, action: str, name: Name | None = None) -> None:
    """403 where the caller may not; of the request's own bucket and key, unless it says otherwise."""
    if not await allows(request, action, name or request.name):
        raise denied()


def denied() -> S3Error:
    return S3Error("AccessDenied", "Access Denied")
