"""Which containers follow others, and what is to be sent: hidden lists, as the expirer's queue is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from pileus.lib.timestamp import UNITS_A_SECOND, Timestamp
from pileus.services.object_store.driver import Version
from pileus.services.object_store.listings import Listings, Metadata, ObjectEntry
from pileus.services.object_store.name import Name
from pileus.services.object_store.rows import rows

TO = "x-container-sync-to"
ACCOUNT, FOLLOWED, CHANGES = ".container_sync", "followed", "changes"
NEW, _KNOWN = "new", "known"
"""Content types of what is followed: whether what was there before is among the changes yet."""


class Realm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Clouds that trust each other."""

    key: str
    key2: str = ""
    """Taken as well; for the time of a change."""
    clusters: dict[str, str] = {}
    """Where each answers, such as `https://cloud.example.org/v1`; empty: this one itself."""


class SyncSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    realms: dict[str, Realm] = {}
    allowed_hosts: tuple[str, ...] = ()
    """Hosts that containers may follow into by a bare address, without a realm; what comes so is known by the container's
    key alone."""
    interval_seconds: float = 300.0
    """How often changes are looked for, and containers that follow since another proxy was asked to have them follow."""
    per_second: float = 50.0
    """Most that are sent a second."""

    @property
    def leads_out(self) -> bool:
        return bool(self.realms or self.allowed_hosts)


class Following:
    """Which containers follow another, and what is to be sent."""

    def __init__(self, listings: Listings, now: Callable[[], Timestamp]) -> None:
        self._listings = listings
        self._now = now
        self._containers: set[tuple[str, str]] = set()

    async def start(self) -> None:
        """Before any device does."""
        for name in (FOLLOWED, CHANGES):
            if await self._listings.container(ACCOUNT, name) is None:
                await self._listings.set_container(ACCOUNT, name, self._now(), dict, make=True)
        await self.refresh()

    async def refresh(self) -> None:
        """Knows of those that other proxies were told of. Those that follow no more do no harm until the next start."""
        async for row in rows(self._listings, ACCOUNT, FOLLOWED):
            account, _, container = row["name"].partition("/")
            self._containers.add((account, container))

    def notice(self, account: str, container: str, metadata: Metadata) -> None:
        """Of a container as it was read just now."""
        if TO in metadata:
            self._containers.add((account, container))

    def follow(self, name: Name) -> None:
        """From now on, with all that is in the container; the list's durability is the caller's business."""
        self._containers.add((name.account, name.container))
        self._note(FOLLOWED, f"{name.account}/{name.container}", self._now(), NEW)

    def forget(self, name: Name) -> None:
        self._containers.discard((name.account, name.container))
        self._note(FOLLOWED, f"{name.account}/{name.container}", self._now(), None)

    def follows(self, name: Name) -> bool:
        return (name.account, name.container) in self._containers

    def heard(self, version: Version) -> None:
        """Of every change of an object."""
        if not self._containers:
            return
        account, container, _ = version.path.split("/", 2)
        if (account, container) in self._containers:
            self.change(version.path, version.changed, deleted=version.deleted)

    def change(self, path: str, moment: Timestamp, *, deleted: bool) -> None:
        self._note(CHANGES, path, moment, "deleted" if deleted else "stored")

    def done(self, container: str, row: Mapping[str, Any], moment: Timestamp, *, keep: bool = False) -> None:
        """What stood in the row is seen to; what came after it is not."""
        self._note(container, row["name"], Timestamp(moment.units + 1), _KNOWN if keep else None)

    def _note(self, container: str, name: str, moment: Timestamp, kind: str | None) -> None:
        etag = None if kind is None else ""
        self._listings.note(ACCOUNT, container, ObjectEntry(name, moment, moment, 0, etag, kind or ""))


def moment_of(row: Mapping[str, Any]) -> Timestamp:
    """When a row was entered."""
    whole, _, part = row["last_modified"].partition(".")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    return Timestamp(seconds * UNITS_A_SECOND + int(part[:5]))
