"""On which storage nodes everything is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pileus.lib.ring.ring import Ring


class Rings(Protocol):
    @property
    def lists(self) -> Ring:
        """Where accounts and containers are."""

    @property
    def objects(self) -> Mapping[int, Ring]:
        """By the index of storage policies."""
