"""Object lock, as every API keeps it: what is locked is neither removed nor changed, and new versions are locked as the
bucket wants it. `s3/object_lock.py` has the rules, `s3/retention.py` the operations.
"""

from __future__ import annotations

import msgspec

from pileus.kernel.errors import BadRequest, Forbidden
from pileus.services.object_store import metadata
from pileus.services.object_store.driver import Version
from pileus.services.object_store.listings import ContainerInfo
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name
from pileus.services.object_store.state import ObjectStoreState


async def require_parts_free(state: ObjectStoreState, name: Name) -> None:
    """403 for what may be a part of a locked object."""
    if name.container.endswith(metadata.SEGMENTS):
        of = await state.container(name.account, name.container.removesuffix(metadata.SEGMENTS))
        if of is not None and metadata.OBJECT_LOCK in of.metadata:
            raise Forbidden("Parts of objects in a bucket with object lock can't be changed.")


async def stored(state: ObjectStoreState, info: ContainerInfo, kept: ObjectMetadata) -> ObjectMetadata:
    """What is kept with a new version, with the bucket's own retention. 400 where it would expire by itself."""
    if metadata.OBJECT_LOCK not in info.metadata:
        return kept
    from pileus.services.object_store.s3 import object_lock

    if "x-delete-at" in kept.headers:
        raise BadRequest("X-Delete-At and X-Delete-After are not possible in a bucket with object lock.")
    found = object_lock.of_container(info.metadata)
    assert found is not None
    lock = object_lock.with_default(object_lock.Lock(), found, state.clock.now())
    return msgspec.structs.replace(kept, system={**kept.system, **lock.stored()})


def require_free(state: ObjectStoreState, info: ContainerInfo, version: Version) -> None:
    """403 where the version is locked."""
    if metadata.OBJECT_LOCK not in info.metadata:
        return
    from pileus.services.object_store.s3 import object_lock

    if object_lock.of_version(version).forbids_removal(state.clock.now(), bypass=False):
        raise Forbidden("The object is protected by object lock.")
