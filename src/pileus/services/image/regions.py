"""Where the image services of other regions are, as the catalog says."""

from __future__ import annotations

from typing import Protocol


class Regions(Protocol):
    """The part of the catalog that images are interested in."""

    async def image_endpoint(self, region: str, interface: str) -> str | None:
        """The address of a region's image service; None where the catalog has none."""


class NoRegions:
    """A cloud that knows of no other."""

    async def image_endpoint(self, region: str, interface: str) -> str | None:
        return None
