"""Lifecycle configurations: what is to be removed when (S3 User Guide, "Managing the lifecycle of objects")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Literal, NamedTuple
from uuid import uuid4

import msgspec

from pileus.lib.xml_document import Document
from pileus.services.object_store.s3 import documents, tagging
from pileus.services.object_store.s3.errors import S3Error

MAX_RULES = 1000
MAX_ID = 255


class And(Document):
    prefix: str | None = None
    tag: list[tagging.Tag] = []
    object_size_greater_than: int | None = None
    object_size_less_than: int | None = None


class Filter(Document):
    prefix: str | None = None
    tag: tagging.Tag | None = None
    object_size_greater_than: int | None = None
    object_size_less_than: int | None = None
    both: And | None = msgspec.field(name="And", default=None)

    def all(self) -> And:
        """One form for the two that it has."""
        if self.both is not None:
            return self.both
        return And(
            prefix=self.prefix,
            tag=[self.tag] if self.tag else [],
            object_size_greater_than=self.object_size_greater_than,
            object_size_less_than=self.object_size_less_than,
        )


class Expiration(Document):
    date: datetime | None = None
    days: int | None = None
    expired_object_delete_marker: bool | None = None


class NoncurrentExpiration(Document):
    noncurrent_days: int
    newer_noncurrent_versions: int | None = None


class Abort(Document):
    days_after_initiation: int


class Transition(Document):
    storage_class: str
    date: datetime | None = None
    days: int | None = None


class NoncurrentTransition(Document):
    storage_class: str
    noncurrent_days: int | None = None
    newer_noncurrent_versions: int | None = None


class Rule(Document):
    status: Literal["Enabled", "Disabled"]
    id: str | None = msgspec.field(name="ID", default=None)
    prefix: str | None = None
    filter: Filter | None = None
    expiration: Expiration | None = None
    noncurrent_version_expiration: NoncurrentExpiration | None = None
    abort_incomplete_multipart_upload: Abort | None = None
    transition: list[Transition] = []
    noncurrent_version_transition: list[NoncurrentTransition] = []

    @property
    def where(self) -> And:
        return self.filter.all() if self.filter is not None else And(prefix=self.prefix)


class Configuration(Document):
    rule: list[Rule]


class Subject(NamedTuple):
    """An object, or a version of one."""

    key: str
    size_bytes: int
    modified_at: datetime
    tags: Mapping[str, str]


class Expiry(NamedTuple):
    at: datetime
    rule_id: str

    @property
    def header(self) -> str:
        """`x-amz-expiration`."""
        return f'expiry-date="{format_datetime(self.at, usegmt=True)}", rule-id="{self.rule_id}"'


def read(body: bytes) -> Configuration:
    """400 where it is none, or asks for what can't be; rules without an id get one."""
    found = documents.read(body, Configuration, "LifecycleConfiguration")
    if not 1 <= len(found.rule) <= MAX_RULES:
        raise documents.malformed(f"a lifecycle has 1 to {MAX_RULES} rules")
    for rule in found.rule:
        rule.id = rule.id or uuid4().hex
        if len(rule.id) > MAX_ID or not rule.id.isprintable() or '"' in rule.id:
            raise _invalid(f"ID length should not exceed allowed limit of {MAX_ID}")
        _check(rule)
    if len({rule.id for rule in found.rule}) < len(found.rule):
        raise _invalid("Rule ID must be unique. Found same ID for more than one rule")
    return found


def _invalid(why: str) -> S3Error:
    return S3Error("InvalidArgument", why)


def _check(rule: Rule) -> None:
    if rule.transition or rule.noncurrent_version_transition:
        raise S3Error(
            "NotImplemented", "There is one storage class, so nothing moves to another: use Expiration"
        )
    if (rule.prefix is None) == (rule.filter is None):
        raise documents.malformed("a Rule has either a Filter or a Prefix")
    expiration, later, abort = (
        rule.expiration,
        rule.noncurrent_version_expiration,
        rule.abort_incomplete_multipart_upload,
    )
    if not (expiration or later or abort):
        raise _invalid("At least one action needs to be specified in a rule")
    where = rule.where
    _check_filter(rule, where)
    if expiration is not None:
        _check_expiration(expiration, where)
    if later is not None:
        _positive(later.noncurrent_days, "NoncurrentDays")
        if later.newer_noncurrent_versions is not None and not 1 <= later.newer_noncurrent_versions <= 100:
            raise _invalid("'NewerNoncurrentVersions' must be between 1 and 100")
    if abort is not None:
        _positive(abort.days_after_initiation, "DaysAfterInitiation")
        if where.tag or where.object_size_greater_than is not None or where.object_size_less_than is not None:
            raise S3Error(
                "InvalidRequest",
                "AbortIncompleteMultipartUpload cannot be specified with Tags or object sizes",
            )


def _check_filter(rule: Rule, where: And) -> None:
    if rule.filter is not None:
        given = (
            rule.filter.prefix,
            rule.filter.tag,
            rule.filter.object_size_greater_than,
            rule.filter.object_size_less_than,
            rule.filter.both,
        )
        if sum(each is not None for each in given) > 1:
            raise documents.malformed("a Filter has one of Prefix, Tag, ObjectSize… and And")
    tagging.checked(((each.key, each.value) for each in where.tag), tagging.MAX_OBJECT_TAGS)
    least, most = where.object_size_greater_than, where.object_size_less_than
    if any(size is not None and not 0 <= size < 2**60 for size in (least, most)):
        raise _invalid("An object's size must be a number of bytes")
    if least is not None and most is not None and least >= most:
        raise _invalid("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'")


def _check_expiration(expiration: Expiration, where: And) -> None:
    given = (expiration.date, expiration.days, expiration.expired_object_delete_marker)
    if sum(each is not None for each in given) != 1:
        raise documents.malformed("an Expiration has one of Days, Date and ExpiredObjectDeleteMarker")
    if expiration.days is not None:
        _positive(expiration.days, "Days")
    if expiration.date is not None and not _is_midnight(expiration.date):
        raise _invalid("'Date' must be at midnight GMT")
    if expiration.expired_object_delete_marker and where.tag:
        raise S3Error("InvalidRequest", "ExpiredObjectDeleteMarker cannot be specified with Tags.")


def _is_midnight(date: datetime) -> bool:
    try:
        return date.tzinfo is not None and date.astimezone(UTC).time() == datetime.min.time()
    except OverflowError:
        return False


def _positive(days: int, what: str) -> None:
    if not 1 <= days < 2**31:
        raise _invalid(f"'{what}' for lifecycle action must be a positive integer")


def _midnight_after(start: datetime, days: int) -> datetime:
    """Days count from the midnight after."""
    try:
        then = start.astimezone(UTC) + timedelta(days=days)
        day = then.replace(hour=0, minute=0, second=0, microsecond=0)
        return day if day == then else day + timedelta(days=1)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def _speaks_of(rule: Rule, subject: Subject) -> bool:
    where = rule.where
    return (
        rule.status == "Enabled"
        and subject.key.startswith(where.prefix or "")
        and (where.object_size_greater_than is None or subject.size_bytes > where.object_size_greater_than)
        and (where.object_size_less_than is None or subject.size_bytes < where.object_size_less_than)
        and all(subject.tags.get(each.key) == each.value for each in where.tag)
    )


def expiry(found: Configuration, subject: Subject) -> Expiry | None:
    """When a current object's time comes, by the rule that says so first."""
    return min(_expiries(found, subject), default=None)


def _expiries(found: Configuration, subject: Subject) -> Iterator[Expiry]:
    for rule in found.rule:
        if rule.expiration is None or not _speaks_of(rule, subject):
            continue
        if rule.expiration.days is not None:
            yield Expiry(_midnight_after(subject.modified_at, rule.expiration.days), rule.id or "")
        elif rule.expiration.date is not None:
            yield Expiry(rule.expiration.date, rule.id or "")


def old_version_goes(
    found: Configuration, subject: Subject, replaced_at: datetime, newer: int, now: datetime
) -> bool:
    """Whether a version's time has come that was replaced then; `newer` others of the key were replaced later."""
    return any(
        rule.noncurrent_version_expiration is not None
        and _speaks_of(rule, subject)
        and newer >= (rule.noncurrent_version_expiration.newer_noncurrent_versions or 0)
        and _midnight_after(replaced_at, rule.noncurrent_version_expiration.noncurrent_days) <= now
        for rule in found.rule
    )


def lone_marker_goes(found: Configuration, subject: Subject, now: datetime) -> bool:
    """Whether a deletion's marker is to go under which there is no version any more."""
    return any(
        rule.expiration is not None
        and _speaks_of(rule, subject)
        and (
            bool(rule.expiration.expired_object_delete_marker)
            or (
                rule.expiration.days is not None
                and _midnight_after(subject.modified_at, rule.expiration.days) <= now
            )
        )
        for rule in found.rule
    )


def upload_aborts(found: Configuration, key: str, begun_at: datetime) -> Expiry | None:
    """When an upload that is not completed is aborted."""
    subject = Subject(key, 0, begun_at, {})
    return min(
        (
            Expiry(
                _midnight_after(begun_at, rule.abort_incomplete_multipart_upload.days_after_initiation),
                rule.id or "",
            )
            for rule in found.rule
            if rule.abort_incomplete_multipart_upload is not None and _speaks_of(rule, subject)
        ),
        default=None,
    )
