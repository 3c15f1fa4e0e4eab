"""The host that the contract's tests run on, and what they need to know of a driver's own ways."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import pytest

from pileus.services.compute.driver import Guest, GuestState, Hypervisor, Image, Power
from pileus.testing.waiting import until

T = TypeVar("T")


class Rig(ABC):
    """A host to test on, which outlives the driver objects that are made over it."""

    ready_text: str
    """What a guest prints on its console once its system is up."""
    boot_seconds = 30.0
    """How long a guest may take to print it, or to heed a request to power off."""

    def __init__(self) -> None:
        self.downloads: Counter[str] = Counter()
        self.contents: dict[str, bytes] = {}
        self.drivers: list[Hypervisor] = []
        self.guest_ids: list[str] = []

    @abstractmethod
    def new_driver(self) -> Hypervisor:
        """A driver over this host, as a process that starts would make it."""

    @abstractmethod
    def new_images(self) -> dict[str, Image]:
        """Images under new ids, by their role in a `Guest` (`image`, and `kernel`, `ramdisk` if used), their
        bytes put into `contents`."""

    @abstractmethod
    async def boot_of(self, guest_id: str) -> object:
        """Something that stays equal while one machine or container runs, and differs for the next."""

    @abstractmethod
    async def crash(self, guest_id: str) -> None:
        """End what runs the guest from outside, as a fault of the host would."""

    @abstractmethod
    def traces(self, guest_id: str) -> list[str]:
        """What the host still has of the guest: processes, files, links."""

    async def open_image(self, image_id: str) -> AsyncIterator[bytes]:
        self.downloads[image_id] += 1
        content = self.contents[image_id]
        for start in range(0, len(content), 1 << 16):
            await asyncio.sleep(0)
            yield content[start : start + (1 << 16)]

    def new_image(self, content: bytes, disk_format: str) -> Image:
        image_id = str(uuid.uuid4())
        self.contents[image_id] = content
        sha512 = hashlib.sha512(content).hexdigest()
        return Image(id=image_id, disk_format=disk_format, size_bytes=len(content), sha512=sha512)

    async def start(self) -> Hypervisor:
        driver = self.new_driver()
        self.drivers.append(driver)
        await driver.start()
        return driver

    async def new_guest(self, driver: Hypervisor, **changes: Any) -> Guest:
        """A guest that is not there yet, its images in the cache."""
        images = self.new_images()
        for image in images.values():
            await driver.ensure_image(image, self.open_image)
        guest_id = str(uuid.uuid4())
        self.guest_ids.append(guest_id)
        spec: dict[str, Any] = {"hostname": "guest", "vcpus": 1, "memory_mib": 128, "root_gib": 1, **images}
        return Guest(id=guest_id, **{**spec, **changes})

    async def until_console(self, driver: Hypervisor, guest_id: str, text: str, times: int = 1) -> None:
        async def printed() -> bool:
            return (await driver.console_log(guest_id)).count(text) >= times

        try:
            await until(printed, self.boot_seconds)
        except TimeoutError:
            log = await driver.console_log(guest_id)
            pytest.fail(f"the guest did not print {text!r} {times} times; its console: {log!r}")

    async def until_power(self, driver: Hypervisor, guest_id: str, power: Power) -> GuestState:
        async def reached() -> GuestState | None:
            state = await driver.observe(guest_id)
            return state if state is not None and state.power is power else None

        return await until(reached, self.boot_seconds)

    async def clean(self) -> None:
        if self.guest_ids:
            driver = await self.start()
            for guest_id in self.guest_ids:
                await driver.destroy(guest_id, 1_000_000)
        for driver in self.drivers:
            await driver.close()
