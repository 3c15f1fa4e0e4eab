"""What all tests share: databases of both kinds, the smallest guest."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from pileus.kernel.clock import Clock, SystemClock
from pileus.kernel.db import Database, open_database
from pileus.testing import database, service
from pileus.testing.postgres import PostgresServer, postgres_server
from tests.host.tiny_linux import TinyLinux

pytest.register_assert_rewrite("pileus.testing.contract")
# What was green stays green until something is changed; `--hypothesis-profile=default` goes looking for more.
settings.register_profile("steady", derandomize=True)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def linux() -> TinyLinux:
    return TinyLinux()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole run."""
    with postgres_server() as server:
        yield server


def pytest_collection_finish() -> None:
    """What has been imported and collected by now stays to the end: the collector need not look at it before each test."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--postgresql", action="store_true", help="services under test run on PostgreSQL, not SQLite"
    )


@pytest.fixture(scope="session", autouse=True)
def _databases_of_services(request: pytest.FixtureRequest) -> Iterator[None]:
    """With --postgresql, `serving` gets its databases from a real server."""
    if not request.config.getoption("--postgresql"):
        yield
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    laid = server.create_database()
    asyncio.run(database.laid(laid, SystemClock()).close())

    free: list[str] = []

    def emptied(folder: Path, clock: Clock) -> Database:
        """A new one is a copy of 8 MB, and there are a thousand tests: whoever closes one leaves it to the next."""
        if free:
            server.empty_database(url := free.pop())
        else:
            url = server.create_database(laid)
        db = open_database(url, clock)
        close = db.close

        async def give_back() -> None:
            await close()
            free.append(url)

        db.close = give_back  # type: ignore[method-assign] - what a test closes is its to give back
        return db

    service.new_database = emptied
    yield
    service.new_database = service.on_sqlite


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.host)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database: each test runs on both kinds."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'test.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.create_database()
    yield url
    server.drop_database(url)
