"""What the placement service keeps in memory."""

from __future__ import annotations

from pileus.services.placement.cache import ProviderCache
from pileus.services.placement.settings import Settings


class PlacementState:
    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.providers = ProviderCache()
