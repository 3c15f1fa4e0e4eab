"""The programs of images and of the tasks that bring them in."""

from __future__ import annotations

from collections.abc import Sequence

from pileus.kernel.api.service import Runtime
from pileus.kernel.work import Program
from pileus.services.image.work.cache import CacheProgram
from pileus.services.image.work.image import ImageProgram
from pileus.services.image.work.importing import ImportProgram
from pileus.services.image.work.location import LocationProgram

__all__ = ["CacheProgram", "ImageProgram", "ImportProgram", "LocationProgram", "programs"]


def programs(runtime: Runtime) -> Sequence[Program]:
    """All of the service's; its state must be there."""
    kinds = (ImageProgram, ImportProgram, LocationProgram, CacheProgram)
    return [kind(runtime.db, runtime.state) for kind in kinds]
