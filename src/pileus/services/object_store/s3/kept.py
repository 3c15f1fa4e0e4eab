"""What is kept with an object, or with a version of it, beside its own metadata: read and changed without its bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from pileus.services.object_store import metadata, versioning
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.s3 import objects
from pileus.services.object_store.s3.request import Request, no_such_key
from pileus.services.object_store.versioning import Found

Values = Mapping[str, str | None]
"""By name in `system`; None takes away."""


async def find(request: Request) -> Found:
    """The version that `versionId` names, else the newest. 404 where there is none."""
    opened = await objects.find(request)
    found = await versioning.find(
        request.state, request.name, request.metadata, objects.version_asked(request)
    )
    if found is None:
        raise no_such_key(request.key)
    return found._replace(id=opened.version_id or found.id)


def system(found: Found) -> Mapping[str, str]:
    return metadata.decode(found.version.metadata).system


async def change(
    request: Request, found: Found, values: Values | Callable[[Mapping[str, str]], Values]
) -> None:
    """Sets some; given a function, by what is kept by then. Durable."""

    def changed(was: ObjectMetadata) -> ObjectMetadata:
        wanted = values(was.system) if callable(values) else values
        new = {name: value for name, value in was.system.items() if name not in wanted}
        new |= {name: value for name, value in wanted.items() if value is not None}
        return msgspec.structs.replace(was, system=new)

    await versioning.update(request.state, request.name, found, changed)


def told(request: Request, found: Found) -> dict[str, str]:
    """Which version it was, where the bucket keeps some."""
    return {"x-amz-version-id": found.id} if versioning.status(request.metadata) else {}
