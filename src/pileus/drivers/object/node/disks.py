"""Disks that come, go or are changed under a node that runs."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import structlog

from pileus.drivers.object.node.local import Disk, disk_of
from pileus.services.object_store.daemons import Walk

log = structlog.get_logger("pileus.object_store")
LOOK_SECONDS = 5.0


class DiskWatcher:
    """A daemon. A folder that comes is served; one that another disk is mounted on, anew; one that went, or was a disk and
    is none any more, no longer: what lies below would be filled in its stead."""

    name = "disk-watcher"
    every_seconds = LOOK_SECONDS
    per_second = math.inf

    def __init__(
        self,
        wanted: Callable[[], Iterable[Path]],
        withdraw: Callable[[Path], Awaitable[None]],
        take: Callable[[], Awaitable[None]],
    ) -> None:
        """`wanted`: the folders of all devices that belong here. `take` serves those that `is_there`."""
        self._wanted = wanted
        self._withdraw = withdraw
        self._take = take
        self._served: dict[Path, Disk] = {}
        self._unmounted: set[Path] = set()

    def is_there(self, folder: Path) -> bool:
        """Whether it is to be served; then it is watched."""
        if folder in self._served:
            return True
        disk = disk_of(folder)
        if disk is None or not self._may_serve(folder, disk):
            return False
        self._unmounted.discard(folder)
        self._served[folder] = disk
        return True

    def _may_serve(self, folder: Path, disk: Disk) -> bool:
        return disk.is_mounted or folder not in self._unmounted

    async def walk(self, walk: Walk) -> None:
        walk.count(changed=await self.look())

    async def look(self) -> int:
        """How many have changed."""
        folders = sorted({*self._wanted(), *self._served})
        disks = await asyncio.to_thread(lambda: [disk_of(folder) for folder in folders])
        changed = 0
        for folder, disk in zip(folders, disks, strict=True):
            before = self._served.get(folder)
            if before is None:
                changed += disk is not None and self._may_serve(folder, disk)
            elif disk != before:
                log.warning("a device is another one, or gone", folder=str(folder), is_there=disk is not None)
                if before.is_mounted:
                    self._unmounted.add(folder)
                del self._served[folder]
                await self._withdraw(folder)
                changed += 1
        if changed:
            await self._take()
        return changed
