"""A transaction as the functions that run in it see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, Row, exc
from sqlalchemy.sql.base import Executable

from pileus.kernel.db.errors import translated
from pileus.kernel.errors import Bug

Params = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class Tx:
    """One transaction. Its time stands still: `now` is the same for every statement.

    Functions that take a Tx may run more than once (PostgreSQL asks for it when two transactions collide),
    so they touch nothing but the transaction; what must follow a commit goes to `after_commit`.

    After a statement that failed, a transaction can only be given up: let the error out, or have run the
    statement in a `savepoint`. PostgreSQL would have it so; for SQLite it is held here, since a function that
    works on one must work on the other.
    """

    __slots__ = ("_conn", "_failed", "_hooks", "now")

    def __init__(self, conn: Connection, now: datetime) -> None:
        self._conn = conn
        self._failed = False
        self._hooks: list[Callable[[], object]] = []
        self.now = now

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._conn.dialect.name

    def execute(self, statement: Executable, params: Params | None = None) -> CursorResult[Any]:
        """Runs a statement; raises Duplicate or InUse where a constraint says no."""
        self.check()
        try:
            return self._conn.execute(statement, params)
        except exc.IntegrityError as error:
            self._failed = True
            if (known := translated(error)) is None:
                raise
            raise known from error
        except exc.DBAPIError:
            self._failed = True
            raise

    def row(self, statement: Executable, **params: Any) -> Row[Any] | None:
        """The first row, or None."""
        return self.execute(statement, params).first()

    def rows(self, statement: Executable, **params: Any) -> Sequence[Row[Any]]:
        """All rows."""
        return self.execute(statement, params).all()

    def scalar(self, statement: Executable, **params: Any) -> Any:
        """The first column of the first row, or None."""
        return self.execute(statement, params).scalar()

    def scalars(self, statement: Executable, **params: Any) -> Sequence[Any]:
        """The first column of every row."""
        return self.execute(statement, params).scalars().all()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What is done inside is undone if it raises, and the transaction goes on:

        with contextlib.suppress(Duplicate), tx.savepoint():
            tx.execute(insert_address, …)
        """
        self.check()
        hooks = len(self._hooks)
        self._conn.exec_driver_sql("SAVEPOINT inside")
        try:
            yield
            self.check()
        except BaseException:
            self._conn.exec_driver_sql("ROLLBACK TO SAVEPOINT inside")
            self._failed = False
            del self._hooks[hooks:]
            raise
        finally:
            self._conn.exec_driver_sql("RELEASE SAVEPOINT inside")

    def check(self) -> None:
        """Raises Bug if a statement has failed and the function went on regardless."""
        if self._failed:
            raise Bug(
                "a statement of this transaction failed and its error was caught outside of a savepoint"
            )

    def after_commit(self, hook: Callable[[], object]) -> None:
        """Calls `hook` on the event loop once the transaction has been committed, and only then."""
        self._hooks.append(hook)

    @property
    def hooks(self) -> list[Callable[[], object]]:
        return self._hooks
