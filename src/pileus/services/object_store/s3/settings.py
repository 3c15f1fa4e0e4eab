"""What a bucket is configured with: kept with the container, where no header of Swift's reaches it."""

from __future__ import annotations

from collections.abc import Mapping

from pileus.services.object_store import metadata
from pileus.services.object_store.listings import Metadata, NoSuchContainer
from pileus.services.object_store.s3.request import Request, no_such_bucket

PREFIX = metadata.SYSTEM + "s3-"


def load(container: Mapping[str, str], name: str) -> str | None:
    """From a container's metadata."""
    return container.get(PREFIX + name)


async def store(request: Request, values: Mapping[str, str | None], *, without: tuple[str, ...] = ()) -> None:
    """Sets or, where None, takes away; `without` names headers of the container's own that go with it. Durable."""

    def change(old: Metadata) -> Metadata:
        new = {name: value for name, value in old.items() if name not in without}
        for name, value in values.items():
            if value is None:
                new.pop(PREFIX + name, None)
            else:
                new[PREFIX + name] = value
        return new

    state = request.state
    try:
        await state.listings.set_container(request.account, request.bucket, state.now(), change, make=False)
    except NoSuchContainer:
        raise no_such_bucket(request.bucket) from None
    finally:
        state.forget(request.account, request.bucket)
