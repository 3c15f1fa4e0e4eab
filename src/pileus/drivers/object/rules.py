"""What a record means for its key: whether another may take its place, and what those who ask are told."""

from __future__ import annotations

from collections.abc import Callable

from pileus.drivers.object.cluster.member import Broken, Stamp
from pileus.drivers.object.group import stamp_of
from pileus.drivers.object.large import file_of
from pileus.drivers.object.record import Header, Kind, Record
from pileus.lib.timestamp import ZERO
from pileus.services.object_store.driver import Missing, Superseded, Told, Version


class Other(Exception):
    """It is another version by now."""


def if_newer(record: Record, old: Record | None) -> Record:
    if old is None or old.kind is Kind.BROKEN:
        return record
    if record.order < old.order or (record.order == old.order and old.kind is not Kind.DROPPED):
        raise Superseded(old.timestamp, deleted=old.kind is Kind.DELETED)
    return record


def present(old: Record | None) -> Record:
    """Raises Missing, DeviceError."""
    if old is None or old.kind in (Kind.DELETED, Kind.DROPPED):
        raise Missing(old.timestamp if old is not None and old.kind is Kind.DELETED else None)
    if old.kind is Kind.BROKEN:
        raise Broken("its bytes are broken")
    return old


def amended(version: Version, old: Record | None) -> Record:
    if old is not None and old.timestamp > version.timestamp:
        raise Superseded(old.timestamp, deleted=old.kind is Kind.DELETED)
    known = present(old)
    if known.timestamp != version.timestamp:
        raise Missing
    if known.changed >= version.changed:
        raise Superseded(known.changed, deleted=False)
    return known._replace(changed=version.changed, metadata=version.metadata)


def emptied(stamp: Stamp | None, kind: Kind, old: Record | None) -> Record:
    """Raises Other where it is none with that stamp."""
    if old is None or stamp_of(old) != stamp:
        raise Other
    return old._replace(kind=kind, metadata=b"", body=b"", size_bytes=0)


def rotten(key: bytes) -> Record:
    return Record(Kind.BROKEN, key, "", ZERO, ZERO, 0, b"", b"")


def names(record: Record, file: str) -> bool:
    return record.kind is Kind.FILE and file_of(record.key, record.timestamp) == file


def found_in(record: Record | None) -> Version | None:
    if record is None or record.kind is Kind.DROPPED:
        return None
    if record.kind is Kind.BROKEN:
        raise Broken("its bytes are broken")
    return version_of(record)


def peeked(header: Header | None) -> Stamp | None:
    if header is not None and header.kind == Kind.BROKEN:
        raise Broken("its bytes are broken")
    return None if header is None else stamp_of(header)


def tell(told: Told, is_told: Callable[[bytes], bool], record: Record) -> None:
    if is_told(record.key) and stamp_of(record) is not None:
        told(version_of(record))


def version_of(record: Record) -> Version:
    return Version(
        record.path,
        record.timestamp,
        record.changed,
        record.size_bytes,
        record.metadata,
        record.kind is Kind.DELETED,
        record.body if record.kind is Kind.WHOLE else None,
    )
