"""What a transaction can fail with, whichever database is behind it."""

from __future__ import annotations

from sqlalchemy import exc

UNIQUE_VIOLATION = "23505"
FOREIGN_KEY_VIOLATION = "23503"
RETRYABLE = frozenset({"40001", "40P01"})
"""Serialization failure and deadlock (PostgreSQL, appendix A): run the function again."""


class Duplicate(Exception):
    """A row with this key is there already."""


class InUse(Exception):
    """A row is still referred to by another, or refers to one that is not there."""


class DatabaseGone(Exception):
    """The database can't be written: closed, full or unreachable. Nothing of the call was kept."""


def sqlstate(error: exc.DBAPIError) -> str | None:
    """PostgreSQL's five-letter code, or None for SQLite."""
    return getattr(error.orig, "sqlstate", None)


def translated(error: exc.IntegrityError) -> Exception | None:
    """The integrity error in words of our own, or None where it is a bug."""
    state, text = sqlstate(error), str(error.orig)
    if state == UNIQUE_VIOLATION or "UNIQUE constraint failed" in text:
        return Duplicate(text)
    if state == FOREIGN_KEY_VIOLATION or "FOREIGN KEY constraint failed" in text:
        return InUse(text)
    return None
