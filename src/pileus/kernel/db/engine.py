"""Opening a database, and running functions of a transaction on the threads that own its connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from pileus.kernel.clock import Clock
from pileus.kernel.db.job import Job, Unsettled
from pileus.kernel.db.signal import Signal
from pileus.kernel.db.tx import Tx

P = ParamSpec("P")
T = TypeVar("T")


class Backend(Protocol):
    """Threads and connections of one kind of database."""

    def submit_write(self, job: Job) -> None: ...
    def submit_read(self, job: Job) -> None: ...
    def submit_scan(self, job: Job) -> None: ...
    def run_script(self, script: str) -> None:
        """Several statements at once, outside the queue; for laying the schema."""

    def signal(self, name: str) -> Signal: ...
    def close(self) -> None: ...


class Database:
    """`await db.write(fn, …)`, `read` and `scan` run `fn(tx, …)` and return its result.

    `fn` is an ordinary function, so nothing can be awaited while a transaction is open. An answer to a write
    comes only after its commit.
    """

    def __init__(self, backend: Backend, url: str) -> None:
        self._backend = backend
        self._unsettled = Unsettled()
        self.url = url

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return "sqlite" if self.url.startswith("sqlite") else "postgresql"

    @property
    def busy(self) -> bool:
        """Whether a transaction or its answer is under way; a simulated clock waits for it."""
        return self._unsettled.count > 0

    async def write(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `fn` in a write transaction; raises what `fn` raises, having kept nothing."""
        result: T = await self._asked(self._backend.submit_write, fn, args, kwargs)
        return result

    async def read(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `fn` on a snapshot of what has been committed: a few rows by key, for on SQLite everybody waits for it."""
        result: T = await self._asked(self._backend.submit_read, fn, args, kwargs)
        return result

    async def scan(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `read`, for what may read many rows, or rows of no known number: it waits for its like, nobody for it."""
        result: T = await self._asked(self._backend.submit_scan, fn, args, kwargs)
        return result

    def _asked(
        self,
        submit: Callable[[Job], None],
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> asyncio.Future[Any]:
        job = Job(asyncio.get_running_loop(), fn, args, kwargs, self._unsettled)
        submit(job)
        self._unsettled.count += 1
        return job.future

    def run_script(self, script: str) -> None:
        """Blocking; before anything else runs."""
        self._backend.run_script(script)

    def signal(self, name: str) -> Signal:
        """The signal of this name, which all processes on this database share."""
        return self._backend.signal(name)

    async def close(self) -> None:
        """Finishes what was asked for, then lets go; what comes later fails with DatabaseGone."""
        await asyncio.to_thread(self._backend.close)


def open_database(url: str, clock: Clock) -> Database:
    """`sqlite:///PATH` or `postgresql://…` (a libpq address)."""
    if url.startswith("sqlite:"):
        from pileus.kernel.db.sqlite import SqliteBackend

        return Database(SqliteBackend(url.removeprefix("sqlite://").removeprefix("/"), clock), url)
    if url.startswith("postgresql:"):
        from pileus.kernel.db.postgresql import PostgresqlBackend

        return Database(PostgresqlBackend(url, clock), url)
    raise ValueError(f"unknown database address {url!r}: it starts with sqlite:/// or postgresql://")
