"""Object lock: versions that can't be removed until a date, or while they are held (S3 User Guide, "Object Lock").

Under GOVERNANCE who owns the bucket may lift the retention by saying so; under COMPLIANCE nobody may.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple

from pileus.lib.xml_document import Document
from pileus.services.object_store import metadata
from pileus.services.object_store.driver import Version
from pileus.services.object_store.s3 import documents
from pileus.services.object_store.s3.errors import S3Error

Mode = Literal["GOVERNANCE", "COMPLIANCE"]
ROOT = "ObjectLockConfiguration"
MODE, UNTIL, HOLD = "s3-lock-mode", "s3-lock-until", "s3-legal-hold"
"""Names under which it is kept with a version."""
_HEADERS = {
    "x-amz-object-lock-mode": MODE,
    "x-amz-object-lock-retain-until-date": UNTIL,
    "x-amz-object-lock-legal-hold": HOLD,
}
MAX_DAYS, MAX_YEARS = 36_500, 100


class DefaultRetention(Document):
    mode: Mode
    days: int | None = None
    years: int | None = None


class LockRule(Document):
    default_retention: DefaultRetention


class Configuration(Document):
    object_lock_enabled: Literal["Enabled"]
    rule: LockRule | None = None


class Retention(Document):
    mode: Mode | None = None
    retain_until_date: datetime | None = None


class LegalHold(Document):
    status: Literal["ON", "OFF"]


class Lock(NamedTuple):
    """What is kept with a version."""

    mode: Mode | None = None
    until: datetime | None = None
    held: bool = False

    def retained(self, now: datetime) -> bool:
        return self.until is not None and now < self.until

    def forbids_removal(self, now: datetime, *, bypass: bool) -> bool:
        """`bypass`: whether governance is to be passed over, by somebody who may."""
        return self.held or (self.retained(now) and not (bypass and self.mode == "GOVERNANCE"))

    def stored(self) -> dict[str, str]:
        found = {}
        if self.mode is not None and self.until is not None:
            found = {MODE: self.mode, UNTIL: _written(self.until)}
        return {**found, HOLD: "ON"} if self.held else found

    def headers(self) -> dict[str, str]:
        kept = self.stored()
        return {header: kept[name] for header, name in _HEADERS.items() if name in kept}


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def facts(lock: Lock, now: datetime) -> dict[str, list[str]]:
    """What policies see of a request for this retention, by condition key."""
    kept = lock.stored()
    if not kept:
        return {}
    shown = {"s3:object-lock-mode": [kept[MODE]], "s3:object-lock-retain-until-date": [kept[UNTIL]]}
    return {**shown, **remaining_days(kept[UNTIL], now)}


def load(kept: Mapping[str, str]) -> Lock:
    """Of a version's `system`."""
    mode: Mode | None = None
    if MODE in kept:
        mode = "COMPLIANCE" if kept[MODE] == "COMPLIANCE" else "GOVERNANCE"
    until = datetime.fromisoformat(kept[UNTIL]) if UNTIL in kept else None
    return Lock(mode, until, kept.get(HOLD) == "ON")


@lru_cache(maxsize=256)
def _read(text: str) -> Configuration:
    return documents.read(text.encode(), Configuration, ROOT)


def of_container(container: Mapping[str, str]) -> Configuration | None:
    """A bucket's; None where nothing in it can be locked."""
    text = container.get(metadata.OBJECT_LOCK)
    return None if text is None else _read(text)


def of_version(version: Version) -> Lock:
    return load(metadata.decode(version.metadata).system)


def read(body: bytes) -> Configuration:
    found = documents.read(body, Configuration, ROOT)
    if found.rule is not None:
        default = found.rule.default_retention
        if (default.days is None) == (default.years is None):
            raise documents.malformed("a DefaultRetention has either Days or Years")
        period, most = (default.days, MAX_DAYS) if default.days is not None else (default.years, MAX_YEARS)
        if period is None or not 1 <= period <= most:
            raise _invalid(f"Default retention period must be between 1 and {most}.")
    return found


def _invalid(why: str) -> S3Error:
    return S3Error("InvalidArgument", why)


def read_retention(body: bytes, now: datetime) -> Lock:
    """Mode and date, or neither: the retention is to end."""
    found = documents.read(body, Retention, "Retention")
    if (found.mode is None) != (found.retain_until_date is None):
        raise documents.malformed("a Retention has Mode and RetainUntilDate, or neither")
    if found.retain_until_date is not None:
        return Lock(found.mode, _future(found.retain_until_date, now))
    return Lock(found.mode)


def _future(until: datetime, now: datetime) -> datetime:
    if until.tzinfo is None or until <= now:
        raise _invalid("The retain until date must be in the future!")
    try:
        return until.astimezone(UTC)
    except OverflowError:
        raise _invalid("The retain until date is too far away") from None


def changed(old: Lock, new: Lock, now: datetime, *, bypass: bool) -> Lock:
    """With another retention. 403 where the old one does not let it: it may only grow, unless it is bypassed."""
    if old.retained(now):
        weaker = (
            new.until is None
            or old.until is None
            or new.until < old.until
            or (old.mode == "COMPLIANCE" and new.mode != "COMPLIANCE")
            or (old.mode == "GOVERNANCE" and new.mode != "GOVERNANCE")
        )
        if weaker and (old.mode == "COMPLIANCE" or not bypass):
            raise locked()
    return new._replace(held=old.held)


def locked() -> S3Error:
    return S3Error("AccessDenied", "Access Denied because object protected by object lock.")


def of_headers(headers: Mapping[str, str], now: datetime) -> Lock:
    """What a request that makes an object says of its lock. 400 where that can't be."""
    mode, until, hold = (headers.get(each) for each in _HEADERS)
    if (mode is None) != (until is None):
        raise _invalid("x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied")
    if hold not in (None, "ON", "OFF"):
        raise _invalid("Legal Hold must be either of 'ON' or 'OFF'")
    if mode is None or until is None:
        return Lock(held=hold == "ON")
    if mode not in ("GOVERNANCE", "COMPLIANCE"):
        raise _invalid("Unknown wormMode directive.")
    try:
        moment = _future(datetime.fromisoformat(until), now)
    except ValueError:
        raise _invalid("The retain until date must be provided in ISO 8601 format") from None
    return Lock("COMPLIANCE" if mode == "COMPLIANCE" else "GOVERNANCE", moment, hold == "ON")


def remaining_days(until: str | None, now: datetime) -> dict[str, list[str]]:
    """How long a retention is that a request wants, as policies see it."""
    try:
        moment = None if until is None else datetime.fromisoformat(until)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        return {}
    return {"s3:object-lock-remaining-retention-days": [str((moment - now).days)]}


def wanted(headers: Mapping[str, str]) -> bool:
    """Whether a request says anything of a lock."""
    return not _HEADERS.keys().isdisjoint(headers)


def with_default(lock: Lock, found: Configuration, now: datetime) -> Lock:
    """What the bucket gives to versions of which nothing else is said."""
    if found.rule is None or lock.mode is not None:
        return lock
    default = found.rule.default_retention
    try:
        until = now + timedelta(days=default.days if default.days is not None else 365 * (default.years or 0))
    except OverflowError:
        until = datetime.max.replace(tzinfo=UTC)
    return lock._replace(mode=default.mode, until=until)
