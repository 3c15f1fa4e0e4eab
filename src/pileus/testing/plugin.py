"""For pytest: `pytest_plugins = ["pileus.testing.plugin"]` in a `conftest.py` gives the fixture `pileus_cloud`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pileus.testing.cloud import Cloud, running_cloud


@pytest.fixture(scope="session")
def pileus_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A simulated cloud of its own for the whole run; nothing of it is left afterwards."""
    with running_cloud(tmp_path_factory.mktemp("pileus")) as cloud:
        yield cloud
