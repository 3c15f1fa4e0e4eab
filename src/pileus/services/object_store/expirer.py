"""Objects whose time has come are deleted (Object Storage API, "Object expiration").

The queue is a list like any other, in an account that no project has: names begin with the time, so that what is due stands
first. It follows the objects as all lists do, and a power cut takes nothing from it. What stands in it is only a hint. An
object is deleted where its own time has come, and once that is so no request changes it any more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec

from pileus.kernel.clock import Clock
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import metadata
from pileus.services.object_store.daemons import Walk
from pileus.services.object_store.driver import DeviceError, ObjectDevice, Superseded, Version
from pileus.services.object_store.listings import Ask, Listings, ObjectEntry
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name

ACCOUNT, CONTAINER = ".expiring_objects", "queue"
SKEW_SECONDS = 2.0
"""So much later than due, so that no other host, whose clock is behind, still changes it."""
UNCONDITIONAL = "application/async-deleted"
"""Content type of a task for an object that goes whatever its own time is, unless it is newer than the task."""
PAGE = 1000


def has_expired(kept: ObjectMetadata, seconds: float) -> bool:
    """Whether the object's time, if it has one, had come by then."""
    delete_at = kept.headers.get("x-delete-at")
    return delete_at is not None and int(delete_at) <= seconds


def task(version: Version, kept: ObjectMetadata) -> ObjectEntry | None:
    """What stands in the queue for an object; None where it does not expire."""
    delete_at = kept.headers.get("x-delete-at")
    if delete_at is None:
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

    def __init__(
        self,
        device_of: Callable[[Name], Awaitable[ObjectDevice]],
        listings: Listings,
        clock: Clock,
        now: Callable[[], Timestamp],
        key: Callable[[str], bytes],
        *,
        every_seconds: float,
        per_second: float,
    ) -> None:
        self._device_of = device_of
        self._listings = listings
        self._clock = clock
        self._now = now
        self._key = key
        self.every_seconds = every_seconds
        self.per_second = per_second

    async def walk(self, walk: Walk) -> None:
        due = self._clock.now().timestamp() - SKEW_SECONDS
        place = walk.since
        while True:
            part = Ask(marker=place, end_marker=f"{int(due) + 1:011d}", limit=PAGE)
            body = await self._listings.list_objects(ACCOUNT, CONTAINER, part, "json")
            page: list[dict[str, Any]] = msgspec.json.decode(body or b"[]")
            for each in page:
                place = each["name"]
                asked = each["last_modified"] if each["content_type"] == UNCONDITIONAL else None
                outcome = await self._expire(place.partition("-")[2], due, asked)
                walk.count(**{outcome: 1})
                if outcome != "failed":
                    now = self._now()
                    self._listings.note(ACCOUNT, CONTAINER, ObjectEntry(place, now, now, 0, None, ""))
                await walk.step(place)
            if len(page) < PAGE:
                return

    async def _expire(self, path: str, due: float, asked_at: str | None) -> str:
        """`deleted`, `changed` (nothing was to be done any more) or `failed`."""
        key = self._key(path)
        try:
            device = await self._device_of(Name(*path.split("/", 2)))
            version = await device.find(key)
            if version is None or version.deleted:
                return "changed"
            if asked_at is None and not has_expired(metadata.decode(version.metadata), due):
                return "changed"
            if asked_at is not None and version.changed.iso > asked_at:
                return "changed"
            # Right after the version that was looked at: one that has come meanwhile is newer, and stays.
            await device.delete(key, path, Timestamp(version.changed.units + 1))
        except Superseded:
            return "changed"
        except DeviceError:
            return "failed"
        return "deleted"
