"""The hosts that this process looks after, and the ways of running guests on each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pileus.lib.image_format import Inspector, is_stored_as
from pileus.services.compute.driver import Capabilities, Guest, Hypervisor, HypervisorError, Image, OpenImage

FETCH_GRACE_SECONDS = 15.0
"""How long a label waits for an image before it naps and looks again; fetching goes on meanwhile."""


@dataclass
class Host:
    """One host. All its hypervisors share its processors, memory and disk."""

    name: str
    hypervisors: Sequence[Hypervisor]
    boot_id: Callable[[], str] = lambda: ""
    """Changes when the host itself starts anew (`/proc/sys/kernel/random/boot_id`)."""
    ip: str = "127.0.0.1"
    known: set[str] = field(default_factory=set)
    """Servers that this process has seen run or end. How others ended, if they did, nobody has seen."""
    capabilities: dict[str, tuple[Hypervisor, Capabilities]] = field(default_factory=dict)
    """By hypervisor type, once started."""
    _fetching: dict[tuple[str, str], asyncio.Task[None]] = field(default_factory=dict)
    _jobs: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self) -> None:
        """Starts each hypervisor once; later calls cost nothing. Raises what a driver raises."""
        if len(self.capabilities) == len(self.hypervisors):
            return
        async with self._starting:
            started = [hypervisor for hypervisor, _ in self.capabilities.values()]
            for hypervisor in self.hypervisors:
                if not any(each is hypervisor for each in started):
                    capabilities = await hypervisor.start()
                    self.capabilities[capabilities.hypervisor_type] = (hypervisor, capabilities)

    async def close(self) -> None:
        tasks = [*self._fetching.values(), *self._jobs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for hypervisor in self.hypervisors:
            await hypervisor.close()

    async def hypervisor(self, kind: str) -> Hypervisor:
        """The one of that type, started; raises HypervisorError where the host has none (any more)."""
        await self.start()
        if kind not in self.capabilities:
            raise HypervisorError(f"Host {self.name} has no hypervisor {kind} now.")
        return self.capabilities[kind][0]

    async def fetched(self, kind: str, guest: Guest, open_image: OpenImage) -> bool:
        """Whether all of a guest's images are in the cache; fetches what isn't, and waits for a while."""
        hypervisor = await self.hypervisor(kind)
        images = [image for image in (guest.image, guest.kernel, guest.ramdisk) if image is not None]
        tasks = [self._fetch(kind, hypervisor, image, open_image) for image in images]
        done, waiting = await asyncio.wait(tasks, timeout=FETCH_GRACE_SECONDS)
        for task in done:
            task.result()
        return not waiting

    async def finished(self, name: str, job: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Whether the job of this name is done: begins it where it isn't under way, and waits for a while. Raises what
        the job raises; whoever asks after that begins it anew."""
        task = self._jobs.get(name)
        if task is None:
            task = self._jobs[name] = asyncio.create_task(job())
        done, _ = await asyncio.wait([task], timeout=FETCH_GRACE_SECONDS)
        if not done:
            return False
        self._jobs.pop(name, None)
        task.result()
        return True

    def _fetch(
        self, kind: str, hypervisor: Hypervisor, image: Image, open_image: OpenImage
    ) -> asyncio.Task[None]:
        key = (kind, image.id)
        task = self._fetching.get(key)
        if task is None:
            task = asyncio.ensure_future(hypervisor.ensure_image(image, _checked(image, open_image)))
            self._fetching[key] = task
            task.add_done_callback(lambda _: self._fetching.pop(key, None))
        return task


def _checked(image: Image, open_image: OpenImage) -> OpenImage:
    """The image's bytes, refused at their end where they are not what it says: a disk called raw that is a qcow2, say,
    would start as garbage, or name files of the host. Not every image service looks."""

    async def chunks(image_id: str) -> AsyncIterator[bytes]:
        inspector = Inspector()
        async for chunk in open_image(image_id):
            inspector.feed(chunk)
            yield chunk
        found = inspector.finish()
        if not is_stored_as(found, image.disk_format):
            raise HypervisorError(
                f"Image {image_id} is said to be {image.disk_format}, and its data is {found.format}."
            )
        if found.unsafe_reasons:
            raise HypervisorError(f"Image {image_id} is refused: {'; '.join(found.unsafe_reasons)}.")

    return chunks


class Hosts:
    """By name."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.by_name: Mapping[str, Host] = {host.name: host for host in hosts}

    def get(self, name: str) -> Host:
        """Raises HypervisorError where no such host is looked after here (any more)."""
        host = self.by_name.get(name)
        if host is None:
            raise HypervisorError(f"Host {name} is not served by this process.")
        return host

    async def close(self) -> None:
        for host in self.by_name.values():
            await host.close()
