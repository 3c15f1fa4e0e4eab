"""Objects whose time has come are deleted (Object Storage API, "Object expiration").

The queue is a list like any other, in an account that no project has: names begin with the time, so that what is due stands
first. It follows the objects as all lists do, and a power cut takes nothing from it. What stands in it is only a hint. An
object is deleted where its own time has come, and once that is so no request changes it any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import hidden, metadata
from pileus.services.object_store.daemons import Walk
from pileus.services.object_store.driver import DeviceError, Superseded, Version
from pileus.services.object_store.listings import Listings, ObjectEntry
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name
from pileus.services.object_store.rows import rows

if TYPE_CHECKING:
    from pileus.services.object_store.state import ObjectStoreState

ACCOUNT, CONTAINER = ".expiring_objects", "queue"
SKEW_SECONDS = 2.0
"""So much later than due, so that no other host, whose clock is behind, still changes it."""
UNCONDITIONAL = "application/async-deleted"
"""Content type of a task for an object that goes whatever its own time is, unless it is newer than the task."""


def may_expire(encoded: bytes) -> bool:
    """Whether an object's metadata are worth decoding to see; False for what never expires."""
    return b"x-delete-at" in encoded


def is_kept(path: str) -> bool:
    """Whether what is there never expires: versions of an object stay when it goes."""
    return path.startswith(hidden.account("versions", ""))


def has_expired(kept: ObjectMetadata, seconds: float) -> bool:
    """Whether the object's time, if it has one, had come by then."""
    delete_at = kept.headers.get("x-delete-at")
    return delete_at is not None and int(delete_at) <= seconds


def task(version: Version, kept: ObjectMetadata) -> ObjectEntry | None:
    """What stands in the queue for an object; None where it does not expire."""
    delete_at = kept.headers.get("x-delete-at")
    if delete_at is None or is_kept(version.path):
        return None
    return ObjectEntry(f"{int(delete_at):011d}-{version.path}", version.changed, version.changed, 0, "", "")


def delete_soon(listings: Listings, now: Timestamp, paths: Iterable[str]) -> None:
    """The objects as they are now are deleted with the next walk; whoever asks sees to the list's durability."""
    for path in paths:
        entry = ObjectEntry(f"{int(now.seconds):011d}-{path}", now, now, 0, "", UNCONDITIONAL)
        listings.note(ACCOUNT, CONTAINER, entry)


async def prepare(listings: Listings, now: Timestamp) -> None:
    """There is a queue when this returns."""
    if await listings.container(ACCOUNT, CONTAINER) is None:
        await listings.set_container(ACCOUNT, CONTAINER, now, dict, make=True)


class Expirer:
    """The daemon."""

    name = "object-expirer"

    def __init__(self, state: ObjectStoreState) -> None:
        self._state = state
        self.every_seconds = state.settings.expirer_interval_seconds
        self.per_second = state.settings.expirer_tasks_per_second

    async def walk(self, walk: Walk) -> None:
        state = self._state
        due = state.clock.now().timestamp() - SKEW_SECONDS
        end = f"{int(due) + 1:011d}"
        async for row in rows(state.listings, ACCOUNT, CONTAINER, walk.since, end):
            place: str = row["name"]
            asked_at = row["last_modified"] if row["content_type"] == UNCONDITIONAL else None
            outcome = await self._expire(Name(*place.partition("-")[2].split("/", 2)), due, asked_at)
            walk.count(**{outcome: 1})
            if outcome != "failed":
                now = state.now()
                state.listings.note(ACCOUNT, CONTAINER, ObjectEntry(place, now, now, 0, None, ""))
            await walk.step(place)

    async def _expire(self, name: Name, due: float, asked_at: str | None) -> str:
        """`deleted`, `changed` (nothing was to be done any more) or `failed`."""
        key = self._state.key(name)
        try:
            device = await self._state.device_of(name)
            version = await device.find(key)
            if version is None or version.deleted:
                return "changed"
            if asked_at is None and not has_expired(metadata.decode(version.metadata), due):
                return "changed"
            if asked_at is not None and version.changed.iso > asked_at:
                return "changed"
            # Right after the version that was looked at: one that has come meanwhile is newer, and stays.
            await device.delete(key, name.path, Timestamp(version.changed.units + 1))
        except Superseded:
            return "changed"
        except DeviceError:
            return "failed"
        return "deleted"
