"""A transaction as the functions that run in it see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, Row, exc
from sqlalchemy.sql.base import Executable

from pileus.kernel.db.errors import translated

Params = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class Tx:
    """One transaction. Its time stands still: `now` is the same for every statement.

    Functions that take a Tx may run more than once (PostgreSQL asks for it when two transactions collide),
    so they touch nothing but the transaction; what must follow a commit goes to `after_commit`.
    """

    __slots__ = ("_conn", "_hooks", "now")

    def __init__(self, conn: Connection, now: datetime) -> None:
        self._conn = conn
        self._hooks: list[Callable[[], None]] = []
        self.now = now

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._conn.dialect.name

    def execute(self, statement: Executable, params: Params | None = None) -> CursorResult[Any]:
        """Runs a statement; raises Duplicate or InUse where a constraint says no."""
        try:
            return self._conn.execute(statement, params)
        except exc.IntegrityError as error:
            raise translated(error) from error

    def row(self, statement: Executable, **params: Any) -> Row[Any] | None:
        """The first row, or None."""
        return self._conn.execute(statement, params).first()

    def rows(self, statement: Executable, **params: Any) -> Sequence[Row[Any]]:
        """All rows."""
        return self._conn.execute(statement, params).all()

    def scalar(self, statement: Executable, **params: Any) -> Any:
        """The first column of the first row, or None."""
        return self._conn.execute(statement, params).scalar()

    def scalars(self, statement: Executable, **params: Any) -> Sequence[Any]:
        """The first column of every row."""
        return self._conn.execute(statement, params).scalars().all()

    def after_commit(self, hook: Callable[[], None]) -> None:
        """Calls `hook` on the event loop once the transaction has been committed, and only then."""
        self._hooks.append(hook)

    @property
    def hooks(self) -> list[Callable[[], None]]:
        return self._hooks
