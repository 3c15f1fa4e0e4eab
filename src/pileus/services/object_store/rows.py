"""Lists from their first row to their last, for daemons."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from pileus.services.object_store.listings import Ask, Listings

PAGE = 1000


async def rows(
    listings: Listings, account: str, container: str, marker: str = "", end_marker: str = ""
) -> AsyncIterator[dict[str, Any]]:
    """Of a container, as its list in JSON has them, between the markers. What comes in meanwhile may be among them."""

    async def page(after: str) -> bytes | None:
        asked = Ask(marker=after, end_marker=end_marker, limit=PAGE)
        return await listings.list_objects(account, container, asked, "json")

    async for row in _paged(page, marker):
        yield row


async def containers(listings: Listings, account: str, marker: str = "") -> AsyncIterator[str]:
    """Their names, after the marker."""

    async def page(after: str) -> bytes | None:
        return await listings.list_containers(account, Ask(marker=after, limit=PAGE), "json")

    async for row in _paged(page, marker):
        yield row["name"]


async def _paged(
    page: Callable[[str], Awaitable[bytes | None]], marker: str
) -> AsyncIterator[dict[str, Any]]:
    while True:
        found: list[dict[str, Any]] = msgspec.json.decode(await page(marker) or b"[]")
        for row in found:
            yield row
        if len(found) < PAGE:
            return
        marker = found[-1]["name"]
