"""What operators can set of placement."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    randomize_candidates: bool = False
    """Candidates in random order, so that a limit does not always name the same providers."""
