"""What lists say of an object: its container's, and that of objects that are to expire."""

from __future__ import annotations

from pileus.services.object_store import expirer, metadata
from pileus.services.object_store.driver import Version
from pileus.services.object_store.listings import Listings, ObjectEntry


def note(listings: Listings, version: Version) -> None:
    """Tells them. Raises msgspec.DecodeError where the metadata are sealed."""
    account, container, name = version.path.split("/", 2)
    if version.deleted:
        entry = ObjectEntry(name, version.timestamp, version.changed, 0, None, "")
        listings.note(account, container, entry)
        return
    kept = metadata.decode(version.metadata)
    size = metadata.size(kept, version.size_bytes)
    etag = kept.system.get(metadata.LISTED_ETAG, kept.etag)
    entry = ObjectEntry(name, version.timestamp, version.changed, size, etag, kept.content_type)
    listings.note(account, container, entry)
    if (task := expirer.task(version, kept)) is not None:
        listings.note(expirer.ACCOUNT, expirer.CONTAINER, task)
