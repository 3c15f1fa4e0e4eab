"""What the image service holds: its stores, its stage, its cache and its jobs."""

from __future__ import annotations

from dataclasses import dataclass, field

from pileus.services.image.driver import Converter, Fetcher, Folder
from pileus.services.image.jobs import Jobs
from pileus.services.image.limits import LimitSource, NoLimits
from pileus.services.image.regions import NoRegions, Regions
from pileus.services.image.settings import Settings
from pileus.services.image.shelves import Shelves


@dataclass(frozen=True)
class ImageState:
    shelves: Shelves
    stage: Folder
    cache: Folder
    fetcher: Fetcher
    settings: Settings = field(default_factory=Settings)
    converter: Converter | None = None
    limits: LimitSource = field(default_factory=NoLimits)
    regions: Regions = field(default_factory=NoRegions)
    jobs: Jobs = field(default_factory=Jobs)
    tokens: dict[str, str] = field(default_factory=dict)
    """Tokens of those whose tasks ask another image service, by task. They are kept nowhere else."""
    node: str = "localhost"

    async def start(self) -> None:
        await self.shelves.start()
        await self.stage.start()
        await self.cache.start()

    async def close(self) -> None:
        await self.jobs.stop()
        for each in (self.shelves, self.stage, self.cache):
            await each.close()
