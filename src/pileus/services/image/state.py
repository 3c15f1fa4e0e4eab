"""What the image service holds: its store and its settings."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from pileus.services.image.driver import Store


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    max_size_gib: int = 1024
    """Largest image that is taken."""
    max_properties: int = 128
    max_tags: int = 128
    max_members: int = 128


@dataclass(frozen=True)
class ImageState:
    files: Store
    settings: Settings = field(default_factory=Settings)
