"""The images on a host's disk, each fetched once and whole."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import hashlib
import os
import shutil
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

from pileus.services.compute.driver import HypervisorError, Image, OpenImage

_WRITE_BYTES = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True)

Prepare = Callable[[Image, Path], Awaitable[Path]]
"""Makes of the downloaded file what guests start from, and gives where that is: the same file, or another
file or directory whose name begins with its own. Raises `HypervisorError` if no guest could start of it."""


class ImageCache:
    """Files or directories named by image id. Each is made under another name and gets its own once it is
    whole, proven by its SHA-512 where the image tells it, prepared, and on the disk."""

    def __init__(self, directory: Path, prepare: Prepare) -> None:
        self._directory = directory
        self._prepare = prepare
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def open(self) -> None:
        """Make the directory, and drop what downloads that never ended have left."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for path in self._directory.glob("*.part*"):
            _remove(path)

    def path(self, image_id: str) -> Path:
        return self._directory / image_id

    def find(self, image: Image) -> Path:
        """The image's file; raises `HypervisorError` if it is not here."""
        path = self.path(image.id)
        if not path.exists():
            raise HypervisorError(f"Image {image.id} is not in this host's cache; fetch it first.")
        return path

    async def ensure(self, image: Image, open_image: OpenImage) -> None:
        path = self.path(image.id)
        async with self._locks[image.id]:
            if not path.exists():
                part = path.with_name(f"{image.id}.{uuid.uuid4().hex}.part")
                try:
                    await self._fetch(image, open_image, part)
                    prepared = await self._prepare(image, part)
                    await asyncio.to_thread(_flush, prepared)
                    prepared.rename(path)
                finally:
                    for left in self._directory.glob(f"{part.name}*"):
                        await asyncio.to_thread(_remove, left)

    def forget(self, image_id: str) -> None:
        """What is not there is no error."""
        leaving = self._directory / f"{image_id}.part"
        with contextlib.suppress(FileNotFoundError):
            # First another name: half a directory must never pass for the image.
            self.path(image_id).rename(leaving)
        _remove(leaving)

    async def _fetch(self, image: Image, open_image: OpenImage, part: Path) -> None:
        digest = hashlib.sha512()
        with await asyncio.to_thread(open, part, "wb", 0) as file:

            def write(buffer: bytes) -> None:
                digest.update(buffer)
                view = memoryview(buffer)
                while view:
                    view = view[file.write(view) :]

            # Hashing and writing leave the event loop alone, in pieces that are worth the way to a thread.
            pending: list[bytes] = []
            pending_bytes = 0
            async for chunk in open_image(image.id):
                pending.append(chunk)
                pending_bytes += len(chunk)
                if pending_bytes >= _WRITE_BYTES:
                    await asyncio.to_thread(write, b"".join(pending))
                    pending, pending_bytes = [], 0
            await asyncio.to_thread(write, b"".join(pending))
            if image.sha512 is not None and digest.hexdigest() != image.sha512:
                raise HypervisorError(
                    f"Image {image.id} arrived damaged: its SHA-512 is {digest.hexdigest()}, "
                    f"{image.sha512} was promised. Upload it again."
                )


def _flush(path: Path) -> None:
    """Have it on the disk, a directory with all that is in it: syncfs(2)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if path.is_file():
            os.fsync(descriptor)
        elif _libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
