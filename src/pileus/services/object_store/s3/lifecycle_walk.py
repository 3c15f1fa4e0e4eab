"""The walk that removes what buckets' rules say.

The buckets with rules stand in a list of their own, in an account that no project has. What a walk meets it looks at
anew before it removes it: what was locked, replaced or changed meanwhile stays.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from pileus.kernel.clock import Clock
from pileus.kernel.errors import Unavailable
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import metadata, versioning
from pileus.services.object_store.daemons import Walk
from pileus.services.object_store.driver import DeviceError, Superseded
from pileus.services.object_store.listings import Ask, NoSuchContainer
from pileus.services.object_store.name import Name
from pileus.services.object_store.rows import containers
from pileus.services.object_store.s3 import (
    lifecycle,
    object_lock,
    storing,
    tagging,
    uploads,
)
from pileus.services.object_store.s3.bucket_lifecycle import ACCOUNT, BETWEEN, configured
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.lifecycle import Configuration, Subject
from pileus.services.object_store.s3.permission import OBJECT_TAGS
from pileus.services.object_store.s3.request import Request
from pileus.services.object_store.state import ObjectStoreState
from pileus.services.object_store.version_entries import Entry, entries
from pileus.services.object_store.versioning import Found

PAGE = 1000
_PHASES = ("objects", "versions", "uploads")


class _Place(NamedTuple):
    """How far a walk is: a bucket, what of it is looked at, and behind which name."""

    bucket: str = ""
    phase: str = ""
    marker: str = ""

    def written(self) -> str:
        return msgspec.json.encode(self).decode()


def _place(text: str) -> _Place:
    return _Place(*msgspec.json.decode(text, type=list[str])) if text else _Place()


class LifecycleWalk:
    """The daemon."""

    name = "object-lifecycle"

    def __init__(
        self, state: ObjectStoreState, clock: Clock, *, every_seconds: float, per_second: float
    ) -> None:
        self._state = state
        self._clock = clock
        self.every_seconds = every_seconds
        self.per_second = per_second

    async def walk(self, walk: Walk) -> None:
        since = _place(walk.since)
        async for each in self._buckets(since.bucket):
            account, _, bucket = each.partition(BETWEEN)
            info = await self._state.listings.container(account, bucket)
            rules = None if info is None else configured(info.metadata)
            if info is None or rules is None:
                await self._forget(each)
                continue
            request = Request.inside(self._state, Name(account, bucket), info)
            visit = _Visit(request, rules, walk, each, self._clock.now())
            resumed = since if since.bucket == each else _Place(each)
            phases = _PHASES[_PHASES.index(resumed.phase) if resumed.phase else 0 :]
            for phase in phases:
                await visit.run(phase, resumed.marker if phase == resumed.phase else "")

    async def _buckets(self, since: str) -> AsyncIterator[str]:
        """From the one on that an interrupted walk was in."""
        if since:
            yield since
        async for bucket in containers(self._state.listings, ACCOUNT, since):
            yield bucket

    async def _forget(self, name: str) -> None:
        with suppress(NoSuchContainer):
            await self._state.listings.delete_container(ACCOUNT, name)


class _Visit:
    """One bucket."""

    def __init__(self, request: Request, rules: Configuration, walk: Walk, place: str, now: datetime) -> None:
        self._request, self._rules, self._walk, self._place, self._now = request, rules, walk, place, now
        self._state = request.state
        self._by_tags = any(rule.where.tag for rule in rules.rule)

    async def run(self, phase: str, marker: str) -> None:
        looked = {"objects": self._objects, "versions": self._versions, "uploads": self._uploads}[phase]
        async for name, outcome in looked(marker):
            self._walk.count(**{outcome: 1})
            await self._walk.step(_Place(self._place, phase, name).written())

    async def _objects(self, marker: str) -> AsyncIterator[tuple[str, str]]:
        """Current objects whose time has come go; with versions, a marker hides them."""
        name = self._request.name
        if not any(rule.expiration is not None for rule in self._rules.rule):
            return
        while True:
            asked = Ask(marker=marker, limit=PAGE)
            listed = await self._state.list_objects(name, asked, "json")
            page: list[dict[str, Any]] = msgspec.json.decode(listed or b"[]")
            for row in page:
                marker = row["name"]
                subject = Subject(marker, row["bytes"], _moment(row["last_modified"]), {})
                if self._by_tags or self._is_due(subject):
                    yield marker, await self._expire(name._replace(object=marker))
            if page:
                yield marker, "pages"
            if len(page) < PAGE:
                return

    def _is_due(self, subject: Subject) -> bool:
        found = lifecycle.expiry(self._rules, subject)
        return found is not None and found.at <= self._now

    async def _expire(self, name: Name) -> str:
        state, info = self._state, self._request.info
        assert info is not None
        try:
            found = await versioning.find(state, name, info.metadata, None)
            if found is None or found.is_marker or not self._is_due(_subject(name.object, found)):
                return "kept"
            if versioning.status(info.metadata):
                await versioning.delete(state, name, info)
                return "hidden"
            if self._is_locked(found):
                return "locked"
            # Right after the version that was looked at: one that has come meanwhile is newer, and stays.
            device = await state.device_of(name)
            async with storing.parts_leave(Request.inside(state, name, info), found):
                await device.delete(state.key(name), name.path, Timestamp(found.version.changed.units + 1))
        except Superseded:
            return "kept"
        except (DeviceError, Unavailable):
            return "failed"
        return "expired"

    def _is_locked(self, found: Found) -> bool:
        return object_lock.of_version(found.version).forbids_removal(self._now, bypass=False)

    async def _versions(self, marker: str) -> AsyncIterator[tuple[str, str]]:
        """Versions that were replaced long ago go for good, and markers under which nothing is left."""
        info = self._request.info
        assert info is not None
        if not versioning.status(info.metadata):
            return
        group: list[Entry] = []
        while page := await entries(self._state, self._request.name, marker=marker, limit=PAGE):
            for each in page:
                marker = each.name
                if group and group[0].key != each.key:
                    yield group[-1].name, await self._of_key(group)
                    group = []
                group.append(each)
        if group:
            yield group[-1].name, await self._of_key(group)

    async def _of_key(self, group: list[Entry]) -> str:
        """All versions of one key, newest first."""
        state, info = self._state, self._request.info
        assert info is not None
        name = self._request.name._replace(object=group[0].key)
        try:
            current = await state.find(name)
            # By what stands under the key itself, or by a version that was made the object again.
            replaced_at = None if current is None else _date(current.timestamp)
            link = None if current is None else versioning.link_of(current)
            left, newer, gone = 0, 0, 0
            for each in group:
                if replaced_at is not None and each.link != link:
                    if await self._goes(name, each, replaced_at, newer):
                        gone += 1
                        replaced_at = _moment(each.changed)
                        continue
                    newer += 1
                left += 1
                replaced_at = _moment(each.changed)
            if (
                left == 1
                and group[0].is_marker
                and current is None
                and await self._marker_goes(name, group[0])
            ):
                gone += 1
        except (DeviceError, Unavailable):
            return "failed"
        return "removed" if gone else "kept"

    async def _goes(self, name: Name, entry: Entry, replaced_at: datetime, newer: int) -> bool:
        rough = Subject(name.object, entry.size_bytes, _moment(entry.changed), {})
        if not self._by_tags and not lifecycle.old_version_goes(
            self._rules, rough, replaced_at, newer, self._now
        ):
            return False
        found = await self._found(name, entry)
        if found is None or self._is_locked(found):
            return False
        subject = _subject(name.object, found)
        if not lifecycle.old_version_goes(self._rules, subject, replaced_at, newer, self._now):
            return False
        async with storing.parts_leave(Request.inside(self._state, name, self._request.info), found):
            await versioning.delete_version(self._state, name, found)
        return True

    async def _marker_goes(self, name: Name, entry: Entry) -> bool:
        found = await self._found(name, entry)
        if found is None or not lifecycle.lone_marker_goes(
            self._rules, _subject(name.object, found), self._now
        ):
            return False
        await versioning.delete_version(self._state, name, found)
        return True

    async def _found(self, name: Name, entry: Entry) -> Found | None:
        info = self._request.info
        assert info is not None
        return await versioning.find(self._state, name, info.metadata, entry.id)

    async def _uploads(self, marker: str) -> AsyncIterator[tuple[str, str]]:
        """Uploads in parts that were never completed are aborted."""
        if not any(rule.abort_incomplete_multipart_upload for rule in self._rules.rule):
            return
        while page := await uploads.listed(self._request, after=marker, limit=PAGE):
            for key, upload_id, begun, marker in page:
                expiry = lifecycle.upload_aborts(self._rules, key, _moment(begun))
                outcome = "kept"
                if expiry is not None and expiry.at <= self._now:
                    name = self._request.name._replace(object=key)
                    try:
                        await uploads.abort(Request.inside(self._state, name, self._request.info), upload_id)
                        outcome = "aborted"
                    except S3Error:
                        pass  # it was completed meanwhile
                    except (DeviceError, Unavailable):
                        outcome = "failed"
                yield marker, outcome


def _moment(text: str) -> datetime:
    """As lists have it, without a zone."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _date(timestamp: Timestamp) -> datetime:
    return datetime.fromtimestamp(timestamp.seconds, UTC)


def _subject(key: str, found: Found) -> Subject:
    kept = metadata.decode(found.version.metadata)
    return Subject(
        key,
        metadata.size(kept, found.version.size_bytes),
        _date(found.version.timestamp),
        tagging.load(kept.system.get(OBJECT_TAGS)),
    )
