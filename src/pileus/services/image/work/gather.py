"""Bytes that an import fetches from elsewhere, on their way to the stage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from sqlalchemy import Row

from pileus.kernel.ids import new_uuid
from pileus.services.image.domain import CONTAINER_FORMATS, DISK_FORMATS
from pileus.services.image.driver import StoreError
from pileus.services.image.jobs import Job
from pileus.services.image.state import ImageState
from pileus.services.image.upload import TooBig, receive

GIB = 2**30
MOST_METADATA = 2**20


class Gathered(msgspec.Struct, frozen=True):
    """What lies on the stage now, and what the source says of it."""

    size_bytes: int
    columns: Mapping[str, Any] = {}
    properties: Mapping[str, str] = {}


class Gathering:
    """Of one task; `run` is its job."""

    def __init__(self, state: ImageState, task: Row[Any], image: Row[Any]) -> None:
        self._state = state
        self._task = task
        self._image = image

    async def run(self, job: Job) -> Gathered:
        method = self._task.input["import_req"]["method"]
        if method["name"] == "web-download":
            return Gathered(await self._bring(job, self._state.fetcher.fetch(method["uri"])))
        url, token = await self._remote(method)
        headers = {"x-auth-token": token}
        shown = await self._describe(url, headers)
        stream = self._state.fetcher.fetch(f"{url}/file", headers=headers, trusted=True)
        size_bytes = await self._bring(job, stream)
        columns = {
            name: shown[name]
            for name, known in (("disk_format", DISK_FORMATS), ("container_format", CONTAINER_FORMATS))
            if shown.get(name) in known
        }
        wanted = self._state.settings.copied_properties
        properties = {
            name: value
            for name, value in shown.items()
            if name.startswith(wanted) and isinstance(value, str) and len(name) <= 255
        }
        return Gathered(size_bytes, columns, properties)

    async def _bring(self, job: Job, stream: AsyncIterator[bytes]) -> int:
        """To the stage, under the image's id; how many bytes it was."""
        limit = self._state.settings.max_size_gib * GIB
        room = self._task.progress.get("room")
        if room is not None:
            limit = min(limit, room)
        await self._state.stage.remove(self._image.id)
        writer = await self._state.stage.writer(self._image.id, new_uuid())
        try:
            received = await receive(counted(job, stream), writer, limit, hashes=False)
            await writer.finish()
        except TooBig as error:
            await writer.abort()
            raise StoreError(f"What is there is larger than the {limit} bytes that may come.") from error
        except BaseException:
            await writer.abort()
            raise
        return received.size_bytes

    async def _remote(self, method: Mapping[str, Any]) -> tuple[str, str]:
        """The address of an image in another region, and the user's token to ask with."""
        token = self._state.tokens.get(self._task.id)
        if token is None:
            raise StoreError("The cloud was started anew, and keeps no tokens: ask for the import again.")
        region, interface = method["glance_region"], method.get("glance_service_interface", "public")
        endpoint = await self._state.regions.image_endpoint(region, interface)
        if endpoint is None:
            raise StoreError(f"The catalog has no {interface!r} endpoint of images in region {region!r}.")
        base = endpoint if endpoint.endswith("/v2") else f"{endpoint}/v2"
        return f"{base}/images/{method['glance_image_id']}", token

    async def _describe(self, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
        text = b""
        async for chunk in self._state.fetcher.fetch(url, headers=headers, trusted=True):
            text += chunk
            if len(text) > MOST_METADATA:
                raise StoreError(f"{url} says more of the image than can be true.")
        try:
            shown: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StoreError(f"{url} does not answer as an image service does.") from error
        if shown.get("status") != "active":
            raise StoreError(f"The image at {url} is {shown.get('status')}, not active.")
        return shown


async def counted(job: Job, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes; the job says how many there were."""
    async for chunk in stream:
        job.bytes_done += len(chunk)
        yield chunk
