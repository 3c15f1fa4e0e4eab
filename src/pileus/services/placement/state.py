"""What the placement service keeps in memory, and its settings."""

from __future__ import annotations

import msgspec

from pileus.services.placement.cache import ProviderCache


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    randomize_candidates: bool = False
    """Candidates in random order, so that a limit does not always name the same providers."""


class PlacementState:
    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.providers = ProviderCache()
