from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.network.site import Site, a_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with a_site(tmp_path_factory.mktemp("network")) as site:
        yield site


@pytest.fixture
def site_alone(tmp_path: Path) -> Iterator[Site]:
    """For a test that takes it down, or bends the host around it."""
    with a_site(tmp_path) as site:
        yield site
