from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.e2e.network.guests import namespace
from tests.e2e.network.site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with namespace() as host_netns:
        site = Site(tmp_path_factory.mktemp("network"), host_netns)
        try:
            yield site
        finally:
            asyncio.run(site.new_engine().teardown())
