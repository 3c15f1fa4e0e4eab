"""A file system of our own for unpacked images, for hosts where they lie on one that cannot shift owners.

So it is with overlayfs, the root of hosts that are containers or live systems themselves. There a sparse file
with ext4 is mounted over the images' directory, and stays the place for them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pileus.drivers.hypervisor.runc import disk, mounts


class ImageDisk:
    def __init__(self, images: Path) -> None:
        self._images = images
        self._file = images.with_name(images.name + ".ext4")

    @property
    def is_mounted(self) -> bool:
        return os.path.ismount(self._images)

    def mount(self) -> None:
        """Mount it where one has been made."""
        if self._file.exists() and not self.is_mounted:
            disk.mount(self._file, self._images)

    def make(self) -> None:
        """Make it, of half of the space that is left, and mount it."""
        gib = max(1, shutil.disk_usage(self._images).free // 2 >> 30)
        disk.ensure(self._file, gib << 30)
        self.mount()

    def unmount(self) -> None:
        if self._file.exists():
            mounts.unmount(self._images)
