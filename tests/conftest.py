"""What all tests share: databases of both kinds, the smallest guest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pileus.testing.postgres import PostgresServer, postgres_server
from tests.host.tiny_linux import TinyLinux

pytest.register_assert_rewrite("pileus.testing.contract")


@pytest.fixture(scope="session")
def linux() -> TinyLinux:
    return TinyLinux()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole run."""
    with postgres_server() as server:
        yield server


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
