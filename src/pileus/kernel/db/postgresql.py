"""PostgreSQL through psycopg 3: a pool of threads, serializable writes, run again when they collide."""

from __future__ import annotations

import contextlib
import queue
import random
import threading
import time
from collections.abc import Iterator

from sqlalchemy import Connection, create_engine, exc
from sqlalchemy.pool import NullPool

from pileus.kernel.clock import Clock
from pileus.kernel.db.errors import RETRYABLE, DatabaseGone, sqlstate
from pileus.kernel.db.job import Job, settle
from pileus.kernel.db.signal import PostgresqlSignal
from pileus.kernel.db.tx import Tx

THREADS = 6
SCANNERS = 2
"""More threads, for what reads much."""
_READ_ONLY = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
TRIES = 20
PATIENCE = 4
"""Collisions after which a write runs with no other of this process beside it, so that it gets through."""


class _Crowd:
    """Lets many run together, or one alone; whoever waits to be alone goes before those who come later."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._waiting = 0

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._running >= 0 and not self._waiting)
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: self._running == 0)
            self._waiting -= 1
            self._running = -1
        try:
            yield
        finally:
            with self._changed:
                self._running = 0
                self._changed.notify_all()


class PostgresqlBackend:
    """Every thread holds one connection, and makes a new one when the server has dropped it."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._engine = create_engine(
            url.replace("postgresql://", "postgresql+psycopg://", 1),
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            hide_parameters=True,  # values may be secrets, and errors are logged
        )
        self._jobs: queue.SimpleQueue[tuple[Job, str] | None] = queue.SimpleQueue()
        self._scans: queue.SimpleQueue[tuple[Job, str] | None] = queue.SimpleQueue()
        self._closed = False
        self._signals: list[PostgresqlSignal] = []
        self._crowd = _Crowd()
        self._closing = threading.Lock()
        self._threads = [
            threading.Thread(name=f"db-{n}", target=self._work_forever, args=(jobs,), daemon=True)
            for n, jobs in enumerate([self._jobs] * THREADS + [self._scans] * SCANNERS)
        ]
        for thread in self._threads:
            thread.start()

    def submit_write(self, job: Job) -> None:
        self._submit(self._jobs, job, "BEGIN ISOLATION LEVEL SERIALIZABLE")

    def submit_read(self, job: Job) -> None:
        self._submit(self._jobs, job, _READ_ONLY)

    def submit_scan(self, job: Job) -> None:
        self._submit(self._scans, job, _READ_ONLY)

    def _submit(self, jobs: queue.SimpleQueue[tuple[Job, str] | None], job: Job, begin: str) -> None:
        with self._closing:
            if self._closed:
                raise DatabaseGone("the database is closed")
            jobs.put((job, begin))

    def run_script(self, script: str) -> None:
        with self._engine.connect() as conn:
            conn.exec_driver_sql("BEGIN")
            conn.exec_driver_sql(script)
            conn.exec_driver_sql("COMMIT")

    def signal(self, name: str) -> PostgresqlSignal:
        self._signals.append(PostgresqlSignal(self._url, name))
        return self._signals[-1]

    def close(self) -> None:
        with self._closing:
            if self._closed:
                return
            self._closed = True
            for jobs in [self._jobs] * THREADS + [self._scans] * SCANNERS:
                jobs.put(None)
        for signal in self._signals:
            signal.close()
        for thread in self._threads:
            thread.join()
        self._engine.dispose()

    def _work_forever(self, jobs: queue.SimpleQueue[tuple[Job, str] | None]) -> None:
        conn: Connection | None = None
        while (item := jobs.get()) is not None:
            job, begin = item
            try:
                if conn is None or conn.closed or conn.invalidated:
                    conn = self._engine.connect()
                self._run(conn, job, begin)
            except BaseException as error:
                job.error = DatabaseGone(f"the database could not be reached: {error}")
                if conn is not None:
                    with contextlib.suppress(Exception):
                        conn.invalidate()
                        conn.close()
                conn = None
            settle((job,))
        if conn is not None:
            conn.close()

    def _run(self, conn: Connection, job: Job, begin: str) -> None:
        for attempt in range(TRIES):
            with self._crowd.alone() if attempt >= PATIENCE else self._crowd.together():
                if self._run_once(conn, job, begin):
                    return
            time.sleep(random.uniform(0, 0.002 * 2 ** min(attempt, 6)))
        job.error = DatabaseGone(f"{TRIES} tries collided with other transactions; try again")

    def _run_once(self, conn: Connection, job: Job, begin: str) -> bool:
        """Runs the job's transaction; False where it collided with another one."""
        conn.exec_driver_sql(begin)
        job.run(Tx(conn, self._clock.now()))
        failure = job.error
        if failure is None:
            try:
                conn.exec_driver_sql("COMMIT")
                return True
            except exc.DBAPIError as error:
                failure = error
        if isinstance(failure, exc.DBAPIError) and failure.connection_invalidated:
            raise failure
        with contextlib.suppress(exc.DBAPIError):
            conn.exec_driver_sql("ROLLBACK")
        if _collided(failure):
            return False
        if job.error is None:
            raise failure
        return True


def _collided(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, exc.DBAPIError) and sqlstate(error) in RETRYABLE:
            return True
        error = error.__cause__
    return False
