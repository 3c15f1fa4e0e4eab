"""QEMU on this host; see `Hypervisor` for what its methods promise.

The state directory holds `images/` (the cache), `guests/ID/` (all that a guest has), `epochs/` and what was
found out about KVM. A guest's process needs nothing of Pileus: it is found again by the lock on its pidfile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from weakref import WeakValueDictionary

from pileus.drivers.hypervisor.epochs import Epochs
from pileus.drivers.hypervisor.host import memory_mib, version_number
from pileus.drivers.hypervisor.image_cache import ImageCache
from pileus.drivers.hypervisor.qemu import disks, kvm
from pileus.drivers.hypervisor.qemu.guest import Host, QemuGuest
from pileus.kernel.clock import Clock
from pileus.lib.console_text import last_lines
from pileus.lib.qemu_argv import BINARY
from pileus.services.compute.driver import (
    Capabilities,
    Guest,
    GuestNotFound,
    GuestState,
    Image,
    OpenImage,
    Place,
    Power,
    Snapshot,
)

Changed = Callable[[str], Awaitable[None]]

_TRIM_SECONDS = 10.0
_CHUNK_BYTES = 1 << 20

_WIDE_UIDS = range(0x7000_0000, 0x7800_0000)
"""Far from any user of the host."""
_NARROW_UIDS = range(64_000, 65_000)
"""For where the host is itself a container with 65,536 users."""


class QemuHypervisor:
    def __init__(self, state: Path, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._images = ImageCache(state / "images", disks.check_image)
        self._epochs = Epochs(state / "epochs")
        self._guests: dict[str, QemuGuest] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._copying: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Held while a guest's disk is copied, which hinders nothing else that is done with the guest."""
        self._watchers: list[Changed] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._host: Host

    @classmethod
    def at(cls, place: Place) -> QemuHypervisor:
        return cls(place.directory, place.clock)

    async def start(self) -> Capabilities:
        guests = self._state / "guests"
        guests.mkdir(parents=True, exist_ok=True)
        self._images.open()
        self._background(asyncio.to_thread(_import_early))
        version, (accelerated, reason) = await asyncio.gather(
            disks.run_tool(BINARY, "--version"),
            asyncio.to_thread(kvm.remembered_probe, self._state / "kvm.json"),
        )
        self._host = Host(self._images, accelerated, _uids(), self._tell)
        for directory in guests.iterdir():
            guest = QemuGuest.load(self._host, directory)
            if guest is None:
                shutil.rmtree(directory)
            else:
                self._guests[directory.name] = guest
        self._epochs.load(set(self._guests))
        await asyncio.gather(*(guest.adopt() for guest in self._guests.values()))
        self._background(self._trim_logs())
        return self._capabilities(version.decode(), accelerated, reason)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for guest in self._guests.values():
            await guest.close()

    async def halt(self, grace_seconds: float) -> None:
        await asyncio.gather(*(guest.halt(grace_seconds) for guest in self._guests.values()))

    async def ensure_image(self, image: Image, open_image: OpenImage) -> None:
        await self._images.ensure(image, open_image)

    async def ensure(self, guest: Guest, power: Power, epoch: int) -> GuestState:
        async with self._lock(guest.id):
            self._epochs.admit(guest.id, epoch)
            found = self._guests.get(guest.id)
            if found is None:
                found = QemuGuest.create(self._host, self._state / "guests" / guest.id, guest)
                self._guests[guest.id] = found
            await found.ensure(guest, power)
            return found.state

    async def shut_down(self, guest_id: str, epoch: int) -> None:
        async with self._lock(guest_id):
            await self._admitted(guest_id, epoch).shut_down()

    async def reset(self, guest_id: str, epoch: int) -> None:
        async with self._lock(guest_id):
            await self._admitted(guest_id, epoch).reset()

    async def destroy(self, guest_id: str, epoch: int) -> None:
        async with self._lock(guest_id):
            self._epochs.admit(guest_id, epoch)
            found = self._guests.get(guest_id)
            if found is not None:
                await found.destroy()
                del self._guests[guest_id]

    @contextlib.asynccontextmanager
    async def snapshot(self, guest_id: str) -> AsyncIterator[Snapshot]:
        async with self._copying.setdefault(guest_id, asyncio.Lock()):
            file = await self._find(guest_id).snapshot()
            try:
                yield Snapshot(disk_format="qcow2", container_format="bare", chunks=_read(file))
            finally:
                file.unlink(missing_ok=True)

    async def observe(self, guest_id: str) -> GuestState | None:
        found = self._guests.get(guest_id)
        return found.state if found is not None else None

    async def list_guests(self) -> list[GuestState]:
        return [guest.state for guest in self._guests.values()]

    async def console_log(self, guest_id: str, tail_lines: int | None = None) -> str:
        return last_lines(await asyncio.to_thread(self._find(guest_id).console_log), tail_lines)

    async def forget_image(self, image_id: str) -> None:
        if not any(image_id in guest.image_ids for guest in self._guests.values()):
            self._images.forget(image_id)

    def watch(self, changed: Changed) -> None:
        self._watchers.append(changed)

    def _lock(self, guest_id: str) -> asyncio.Lock:
        return self._locks.setdefault(guest_id, asyncio.Lock())

    def _find(self, guest_id: str) -> QemuGuest:
        found = self._guests.get(guest_id)
        if found is None:
            raise GuestNotFound(f"There is no guest {guest_id} on this host.")
        return found

    def _admitted(self, guest_id: str, epoch: int) -> QemuGuest:
        self._epochs.admit(guest_id, epoch)
        return self._find(guest_id)

    def _tell(self, guest_id: str) -> None:
        for watcher in self._watchers:
            self._background(watcher(guest_id))

    def _background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _trim_logs(self) -> None:
        while True:
            await self._clock.sleep(_TRIM_SECONDS)
            for guest in list(self._guests.values()):
                await asyncio.to_thread(guest.trim_logs)

    def _capabilities(self, version: str, accelerated: bool, reason: str) -> Capabilities:
        return Capabilities(
            hypervisor_type="QEMU",
            hypervisor_version=version_number(version),
            vcpus=os.cpu_count() or 1,
            memory_mib=memory_mib(),
            disk_gib=shutil.disk_usage(self._state).total >> 30,
            disk_formats=disks.DISK_FORMATS,
            accelerated=accelerated,
            cpu_info={
                "arch": platform.machine(),
                "accelerator": "kvm" if accelerated else "tcg",
                "kvm": reason,
            },
        )


async def _read(file: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(open, file, "rb") as opened:
        while chunk := await asyncio.to_thread(opened.read, _CHUNK_BYTES):
            yield chunk


def _uids() -> range | None:
    if os.geteuid() != 0:
        return None
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = (int(number) for number in line.split())
        if first <= _WIDE_UIDS.start and _WIDE_UIDS.stop <= first + count:
            return _WIDE_UIDS
    return _NARROW_UIDS


def _import_early() -> None:
    """Half a second that the first guest's boot need not wait for."""
    import pyroute2
    import qemu.qmp

    assert pyroute2
    assert qemu.qmp
