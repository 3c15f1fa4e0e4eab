"""A throw-away PostgreSQL server for tests, from Debian's package `postgresql`."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_SECONDS = 60.0
# Nothing of it outlives a test, so nothing has to survive a power cut.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "autovacuum": "off",
}

_EMPTY = """
DO $$
DECLARE name regclass;
BEGIN
  PERFORM pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
  SET LOCAL session_replication_role = replica;
  FOR name IN SELECT oid FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0
  LOOP EXECUTE 'DELETE FROM ' || name; END LOOP;
  FOR name IN SELECT oid FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace
  LOOP PERFORM setval(name, 1, false); END LOOP;
END $$
"""


class PostgresServer:
    """Reached through a Unix socket in a directory of its own, so that no port is taken."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)

    def url(self, database: str) -> str:
        """As `open_database` takes it."""
        return f"postgresql:///{database}?host={self._folder}&user=postgres"

    def create_database(self, like: str | None = None) -> str:
        """A database of its own, empty or a copy of the one at the address `like`; its address."""
        name = f"test_{next(self._numbers)}"
        template = _name(like) if like is not None else "template1"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Throws out whoever still uses it."""
        self._execute(f"DROP DATABASE {_name(url)} WITH (FORCE)")

    def empty_database(self, url: str) -> None:
        """No rows, no users, counting from one again: a tenth of the work of a new one."""
        self._execute(_EMPTY, _name(url))

    def _execute(self, statement: str, database: str = "postgres") -> None:
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as conn:
            conn.execute(statement.encode())

    def wait_until_ready(self, server: subprocess.Popen[bytes]) -> None:
        """Raises RuntimeError with the server's log where it does not come up."""
        import psycopg

        until = time.monotonic() + START_SECONDS
        while True:
            try:
                return self._execute("SELECT 1")
            except psycopg.OperationalError as error:
                if server.poll() is not None or time.monotonic() > until:
                    log = (self._folder / "log").read_text(errors="replace")
                    raise RuntimeError(f"PostgreSQL did not start:\n{log}") from error
                time.sleep(0.02)


def _name(url: str) -> str:
    return url.removeprefix("postgresql:///").partition("?")[0]


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Starts one and takes it away again. It ends with this process, even if that is killed."""
    programs = _programs()
    with tempfile.TemporaryDirectory(prefix="pileus-pg-") as name:
        folder = Path(name)
        # The server refuses to run as root; Debian's package made it a user.
        identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            identity = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(folder, "postgres", "postgres")
        data = folder / "data"
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        made = subprocess.run(
            [programs / "initdb", *options, data], capture_output=True, text=True, cwd="/", **identity
        )
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")
        command: list[str | Path] = ["setpriv", "--pdeathsig", "QUIT", programs / "postgres", "-D", data]
        for setting, value in {**_SETTINGS, "unix_socket_directories": name}.items():
            command += ["-c", f"{setting}={value}"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **identity)
        server = PostgresServer(folder)
        try:
            server.wait_until_ready(process)
            yield server
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(START_SECONDS)


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[4]))
    if not found:
        raise RuntimeError("no PostgreSQL server is installed: apt-get install postgresql")
    return found[-1].parent
