"""What is broken on a device: it counts as gone, so that others can give it back, and its file is kept aside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from pileus.drivers.object.cluster.member import Broken, Stamp
from pileus.drivers.object.files import Files
from pileus.drivers.object.group import stamp_of
from pileus.drivers.object.large import check_file, file_of
from pileus.drivers.object.record import Kind, Record
from pileus.services.object_store.driver import DeviceError

FOLDER = "quarantined"


class Quarantine:
    def __init__(self, files: Files, empty: Callable[[bytes, Stamp | None, Kind], Awaitable[bool]]) -> None:
        """`empty`: writes a record of that kind, with nothing in it, over the one with that stamp; False where there is
        another by now."""
        self._files = files
        self._empty = empty

    async def check(self, record: Record) -> int:
        """How many bytes were looked at. Raises Broken, DeviceError."""
        if record.kind is not Kind.FILE:
            return len(record.body)
        try:
            file = self._files.open(file_of(record.key, record.timestamp))
            sound = await asyncio.to_thread(check_file, file, record.size_bytes)
        except FileNotFoundError:
            sound = False
        except OSError as error:
            raise DeviceError(f"the disk can't be read: {error}") from error
        if sound:
            return record.size_bytes
        if await self.take(record.key, stamp_of(record)):
            raise Broken(f"the data of {record.path} do not match their checksum")
        return 0

    async def take(self, key: bytes, stamp: Stamp | None) -> bool:
        """False where it has been replaced meanwhile. `stamp` None: where the record itself is broken."""
        if stamp is not None:
            name = file_of(key, stamp.timestamp)
            await asyncio.to_thread(self._keep_aside, name, f"{FOLDER}/{name.rpartition('/')[2]}")
        return await self._empty(key, stamp, Kind.BROKEN)

    def _keep_aside(self, name: str, aside: str) -> None:
        """The file goes where an operator can look at it."""
        self._files.make_folder(FOLDER)
        with suppress(FileNotFoundError, FileExistsError):
            self._files.link(name, aside)
