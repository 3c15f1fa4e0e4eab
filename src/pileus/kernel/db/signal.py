"""Signals: every process on a database learns, with the commit, that something has changed.

A signal's number is looked at very often (for each token that comes in) and moved seldom. On SQLite it is a row, which is read
again after a commit only. PostgreSQL is too far away for that, so there it tells (LISTEN and NOTIFY).
"""

from __future__ import annotations

import contextlib
import mmap
import sqlite3
import threading
import time
from typing import Protocol

from sqlalchemy import BigInteger, Column, String, Table, text

from pileus.kernel.db.schema import metadata
from pileus.kernel.db.tx import Tx

signals = Table(
    "signals",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
_MOVE = text(
    "INSERT INTO signals (name, number) VALUES (:name, 1) ON CONFLICT (name) DO UPDATE SET number = signals.number + 1"
)
_NOTIFY = text("SELECT pg_notify(:channel, '')")
_PAUSE_SECONDS = 0.5
_INDEX_HEADERS = 96


class Signal(Protocol):
    @property
    def number(self) -> int:
        """Another one as soon as a transaction that moved it has been committed, by whichever process."""

    def move(self, tx: Tx) -> None:
        """With the commit of this transaction."""

    def close(self) -> None: ...


class SqliteSignal:
    """While nothing at all has been committed, by whichever process, the number is the one read last: the header of the
    WAL's index, which is shared memory, tells (SQLite, "WAL-mode File Format", section 2.1; its two copies are 48 bytes each).
    """

    def __init__(self, path: str, name: str) -> None:
        self._name = name
        self._conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30.0)
        self._conn.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from now on there is an index
        with open(f"{path}-shm", "rb") as index:
            self._index = mmap.mmap(index.fileno(), _INDEX_HEADERS, access=mmap.ACCESS_READ)
        self._seen = b""
        self._number = 0

    @property
    def number(self) -> int:
        header = self._index[:_INDEX_HEADERS]
        if header != self._seen:
            self._number = self._read()
            self._seen = header
        return self._number

    def _read(self) -> int:
        row = self._conn.execute("SELECT number FROM signals WHERE name = ?", (self._name,)).fetchone()
        return 0 if row is None else int(row[0])

    def move(self, tx: Tx) -> None:
        tx.execute(_MOVE, {"name": self._name})

    def close(self) -> None:
        self._index.close()
        self._conn.close()


class PostgresqlSignal:
    """While nobody listens, for the server is away, the number is another one each time: nothing is taken for unchanged."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._channel = f"pileus_{name}"
        self._own = 0
        self._heard = 0
        """Each is counted by one thread only: the event loop, the listener."""
        self._listening = False
        self._closed = threading.Event()
        self._thread = threading.Thread(name=f"db-listen-{name}", target=self._listen_forever, daemon=True)
        self._thread.start()

    @property
    def number(self) -> int:
        if not self._listening:
            self._own += 1
        return self._own + self._heard

    def move(self, tx: Tx) -> None:
        tx.execute(_NOTIFY, {"channel": self._channel})
        tx.after_commit(self._moved)  # this process hears of it before whoever asked for it does

    def close(self) -> None:
        import psycopg

        self._closed.set()
        # The listener is woken by what it listens for, or else looks up by itself in a moment.
        with contextlib.suppress(psycopg.Error), psycopg.connect(self._url, autocommit=True) as conn:
            conn.execute("SELECT pg_notify(%s, '')", (self._channel,))
        self._thread.join()

    def _moved(self) -> None:
        self._own += 1

    def _listen_forever(self) -> None:
        import psycopg

        while not self._closed.is_set():
            with contextlib.suppress(psycopg.Error), psycopg.connect(self._url, autocommit=True) as conn:
                conn.execute(f'LISTEN "{self._channel}"')
                self._heard += 1
                self._listening = True
                try:
                    while not self._closed.is_set():
                        for _ in conn.notifies(timeout=_PAUSE_SECONDS, stop_after=1):
                            self._heard += 1
                finally:
                    self._listening = False
            if not self._closed.is_set():
                time.sleep(_PAUSE_SECONDS)
