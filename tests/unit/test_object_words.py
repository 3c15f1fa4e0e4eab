"""Words of lists that other proxies change, too: each request asks once."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from pileus.kernel.api.call import request_id
from pileus.services.object_store.listings import Listings
from pileus.services.object_store.words import BELIEVED_SECONDS, Words
from pileus.testing.clock import FakeClock


class Counted:
    """Another word with every question."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []

    async def word(self, account: str, container: str | None = None) -> str | None:
        self.asked.append((account, container))
        return str(len(self.asked))


@pytest.fixture
def listings() -> Counted:
    return Counted()


async def test_a_request_asks_once_for_each_list_and_the_next_one_again(listings: Counted) -> None:
    words = Words(cast(Listings, listings), FakeClock())

    async def request(name: str) -> list[str | None]:
        request_id.set(name)
        return [await words.of("AUTH_a"), await words.of("AUTH_a", "box"), await words.of("AUTH_a")]

    assert await asyncio.create_task(request("one")) == ["1", "2", "1"]
    assert await asyncio.create_task(request("two")) == ["3", "4", "3"]
    # One task may serve one request after the other.
    assert [await request("three"), await request("four")] == [["5", "6", "5"], ["7", "8", "7"]]


async def test_a_long_request_asks_again(listings: Counted) -> None:
    clock = FakeClock()
    words = Words(cast(Listings, listings), clock)
    request_id.set("long")
    assert await words.of("AUTH_a") == await words.of("AUTH_a") == "1"
    await clock.advance(BELIEVED_SECONDS)
    assert await words.of("AUTH_a") == "2"


async def test_what_is_no_request_asks_each_time(listings: Counted) -> None:
    words = Words(cast(Listings, listings), FakeClock())
    request_id.set("")
    assert [await words.of("AUTH_a") for _ in range(3)] == ["1", "2", "3"]
