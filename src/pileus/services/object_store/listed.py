"""What a container's list says of an object."""

from __future__ import annotations

from pileus.services.object_store import metadata
from pileus.services.object_store.driver import Version
from pileus.services.object_store.listings import ObjectEntry


def entry_of(version: Version) -> tuple[str, str, ObjectEntry]:
    """Account, container, and the row. Raises msgspec.DecodeError where the metadata are sealed."""
    account, container, name = version.path.split("/", 2)
    if version.deleted:
        return account, container, ObjectEntry(name, version.timestamp, version.changed, 0, None, "")
    kept = metadata.decode(version.metadata)
    size = version.size_bytes if kept.large_etag is None else kept.large_bytes
    etag = kept.system.get(metadata.LISTED_ETAG, kept.etag)
    return (
        account,
        container,
        ObjectEntry(name, version.timestamp, version.changed, size, etag, kept.content_type),
    )
