"""What the tests of the engine share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.engine_house import House


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    house = House(database_url)
    yield house
    for engine in house.engines:
        await engine.stop()
    await house.db.close()
