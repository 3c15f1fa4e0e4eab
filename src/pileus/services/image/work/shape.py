"""Import plug-ins that work on the staged bytes: unpacking and converting."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import Row

from pileus.kernel.ids import new_uuid
from pileus.lib.image_format import Inspection, Inspector
from pileus.lib.unpack import Bomb, Unpacker, UnpackError
from pileus.services.image.driver import StoreError
from pileus.services.image.jobs import Job
from pileus.services.image.state import ImageState
from pileus.services.image.upload import Refused, check_format
from pileus.services.image.work.gather import GIB

QEMU_FORMATS = {"raw": "raw", "qcow2": "qcow2", "vmdk": "vmdk", "vdi": "vdi", "vhd": "vpc", "vhdx": "vhdx"}
"""QEMU's names of the disk formats that are converted; an iso stays one, to be booted from."""


class Shaping:
    """Of one task; `run` is its job, and gives the columns that change."""

    def __init__(self, state: ImageState, task: Row[Any], image: Row[Any]) -> None:
        settings = state.settings
        self._state = state
        self._image = image
        self._packed = image.container_format == "compressed" and settings.decompress
        convertible = image.disk_format in QEMU_FORMATS and image.container_format in ("bare", "compressed")
        self._converts = (
            bool(settings.convert_to)
            and state.converter is not None
            and convertible
            and image.disk_format != settings.convert_to
            and (image.container_format == "bare" or self._packed)
        )
        copies = task.input["import_req"]["method"]["name"] == "copy-image"
        self.needed = (self._packed or self._converts) and not task.progress.get("shaped") and not copies

    async def run(self, job: Job) -> dict[str, Any]:
        source = self._image.id
        changed: dict[str, Any] = {}
        if self._packed:
            target = unpacked(source) if self._converts else shaped(source)
            await self._unpack(job, source, target)
            changed["container_format"] = "bare"
            source = target
        if self._converts:
            await self._convert(source, shaped(self._image.id))
            changed["disk_format"] = self._state.settings.convert_to
        return changed

    async def _unpack(self, job: Job, source: str, target: str) -> None:
        stage = self._state.stage
        unpacker = Unpacker(self._state.settings.max_size_gib * GIB)
        writer = await stage.writer(target, new_uuid())
        try:
            async for chunk in stage.read(source):
                job.bytes_done += len(chunk)
                unpacker.feed(chunk)
                while piece := await asyncio.to_thread(unpacker.take):
                    await writer.write(piece)
            unpacker.finish()
            await writer.finish()
        except (UnpackError, Bomb) as error:
            await writer.abort()
            raise Refused(f"The image can't be unpacked: {error}.") from error
        except BaseException:
            await writer.abort()
            raise

    async def _convert(self, source: str, target: str) -> None:
        """Only what is safe and what it is said to be is given to QEMU's tool."""
        stage, settings = self._state.stage, self._state.settings
        found = await self._inspect(source)
        check_format(self._image.disk_format, "bare", found)
        if (found.virtual_size or 0) > settings.max_size_gib * GIB:
            raise Refused(f"The image is refused: its disk of {found.virtual_size} bytes is too large.")
        assert self._state.converter is not None
        temporary = stage.path(f"{target}.{new_uuid()}.part")
        try:
            await self._state.converter.convert(
                stage.path(source), QEMU_FORMATS[self._image.disk_format], temporary, settings.convert_to
            )
            temporary.rename(stage.path(target))
        except OSError as error:
            raise StoreError(f"The converted image can't be kept: {error.strerror}.") from error
        finally:
            temporary.unlink(missing_ok=True)

    async def _inspect(self, object_id: str) -> Inspection:
        inspector = Inspector()
        async for chunk in self._state.stage.read(object_id):
            inspector.feed(chunk)
        return inspector.finish()


def shaped(image_id: str) -> str:
    """The name on the stage of what a plug-in has made."""
    return f"{image_id}.shaped"


def unpacked(image_id: str) -> str:
    """The name of what is only unpacked so far."""
    return f"{image_id}.unpacked"
