"""The hypervisor `runc`: each server is a container that runs its image's own init.

A guest has two directories. Under `state_dir`, which must last: its record, its disk, its console log. Under
`run_dir`, best on a tmpfs such as /run: its OCI bundle with mounts and namespaces, there only while it runs.
So a host that has restarted finds guests with all their data and nothing half-alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from pileus.drivers import vif
from pileus.drivers.hypervisor.epochs import Epochs
from pileus.drivers.hypervisor.host import boot_id
from pileus.drivers.hypervisor.image_cache import ImageCache
from pileus.drivers.hypervisor.runc import bundle, cgroups, console, namespaces, readiness, rootfs
from pileus.drivers.hypervisor.runc.container import Container, Runtime
from pileus.drivers.hypervisor.runc.image_disk import ImageDisk
from pileus.drivers.hypervisor.runc.record import Record, Records, name_nics
from pileus.lib import id_ranges
from pileus.services.compute.driver import (
    Capabilities,
    Guest,
    GuestNotFound,
    GuestState,
    HypervisorError,
    Image,
    Nic,
    OpenImage,
    Place,
    Power,
    Snapshot,
)

T = TypeVar("T")
Changed = Callable[[str], Awaitable[None]]

_SIGNALLED = 128
_POWERED_OFF = _SIGNALLED + signal.SIGINT
_REBOOTED = _SIGNALLED + signal.SIGHUP
"""How the kernel ends a process 1 that has called reboot(2): pid_namespaces(7)."""

_QUICK_REBOOT_SECONDS = 1.0
"""A guest that reboots in a loop costs the host this long a time each round at least."""


class RuncHypervisor:
    """Containers on this host; see `Hypervisor` for what the methods promise."""

    def __init__(
        self,
        state_dir: Path,
        run_dir: Path,
        *,
        console_bytes: int = 4 << 20,
        pids_limit: int = 4096,
    ) -> None:
        """`console_bytes` bounds a console's log, which starts anew when it is full."""
        self._state_dir = state_dir
        self._runtime = Runtime(run_dir, cgroups.hierarchies(), console_bytes, pids_limit)
        self._records = Records(state_dir / "guests")
        self._images = ImageCache(state_dir / "images", rootfs.unpack_image)
        self._image_disk = ImageDisk(state_dir / "images")
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._epochs = Epochs(state_dir / "epochs")
        self._watchers: list[Changed] = []
        self._followers: dict[str, asyncio.Task[None]] = {}

    @classmethod
    def at(cls, place: Place) -> RuncHypervisor:
        return cls(place.directory, place.run_directory)

    async def start(self) -> Capabilities:
        for directory in (self._runtime.state_dir, self._runtime.bundles, self._records.root):
            directory.mkdir(parents=True, exist_ok=True)
        # Images hold setuid programs, which are nobody's business on the host.
        (self._state_dir / "images").mkdir(mode=0o700, exist_ok=True)
        self._runtime.run_dir.chmod(0o711)
        self._runtime.bundles.chmod(0o711)
        asyncio.get_running_loop().run_in_executor(None, _import_early)
        await _uninterrupted(self._make_ready)
        self._images.open()
        records = self._records.all()
        self._epochs.load({record.guest.id for record in records})
        for record in records:
            self._follow(record.guest.id)
        return await _uninterrupted(lambda: readiness.capabilities(self._state_dir))

    def _make_ready(self) -> None:
        images = self._state_dir / "images"
        self._image_disk.mount()
        try:
            readiness.check(self._runtime.bundles, images)
        except readiness.CannotShiftOwners:
            if self._image_disk.is_mounted:
                raise
            self._image_disk.make()
            readiness.check(self._runtime.bundles, images)

    async def close(self) -> None:
        followers = list(self._followers.values())
        for task in followers:
            task.cancel()
        await asyncio.gather(*followers, return_exceptions=True)

    async def halt(self, grace_seconds: float) -> None:
        await asyncio.gather(*(self._power_off(record, grace_seconds) for record in self._records.all()))
        await _uninterrupted(self._image_disk.unmount)
        for directory in (self._runtime.state_dir, self._runtime.bundles, self._runtime.run_dir):
            # What is not empty is a container's that did not end, and tells of it.
            with contextlib.suppress(OSError):
                directory.rmdir()

    async def _power_off(self, record: Record, grace_seconds: float) -> None:
        container = self._container(record.guest.id)
        if container.is_running:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_seconds):
                    container.signal(record.power_off)
                    await container.ended()
        await self._halt(record, parting=True)

    async def ensure_image(self, image: Image, open_image: OpenImage) -> None:
        await self._images.ensure(image, open_image)

    async def forget_image(self, image_id: str) -> None:
        if all(record.guest.image.id != image_id for record in self._records.all()):
            await asyncio.to_thread(self._images.forget, image_id)

    async def ensure(self, guest: Guest, power: Power, epoch: int) -> GuestState:
        async with self._turn(guest.id, epoch) as record:
            if record is None:
                self._images.find(guest.image)
                record = Record(guest=guest, first_id=self._free_range(guest.id))
            else:
                await self._unplug(nic for nic in record.guest.nics if nic not in guest.nics)
            record.guest = guest
            record.nic_names = name_nics(guest, record.nic_names)
            self._records.save(record)
            if power is Power.STOPPED:
                await self._halt(record)
            elif self._container(guest.id).is_running:
                await self._plug(record)
            else:
                await self._boot(record)
            return self._look(record)

    async def shut_down(self, guest_id: str, epoch: int) -> None:
        async with self._turn(guest_id, epoch) as record:
            self._container(guest_id).signal(_present(record, guest_id).power_off)

    async def reset(self, guest_id: str, epoch: int) -> None:
        async with self._turn(guest_id, epoch) as record:
            await self._boot(_present(record, guest_id))

    async def destroy(self, guest_id: str, epoch: int) -> None:
        async with self._turn(guest_id, epoch) as record:
            if record is not None:
                await self._halt(record)
            await _uninterrupted(lambda: self._records.remove(guest_id))

    @contextlib.asynccontextmanager
    async def snapshot(self, guest_id: str) -> AsyncIterator[Snapshot]:
        record = _present(self._records.load(guest_id), guest_id)
        root = self._container(guest_id).directory / "rootfs"
        async with contextlib.AsyncExitStack() as stack:
            if not self._container(guest_id).is_running:
                await stack.enter_async_context(self._mounted(guest_id))
            chunks = rootfs.packed(root, record.first_id)
            await stack.enter_async_context(contextlib.aclosing(chunks))
            yield Snapshot(disk_format="raw", container_format="docker", chunks=chunks)

    @contextlib.asynccontextmanager
    async def _mounted(self, guest_id: str) -> AsyncIterator[None]:
        """The root of a guest that does not run, which nobody starts meanwhile."""
        async with self._lock(guest_id):
            record, container = _present(self._records.load(guest_id), guest_id), self._container(guest_id)
            if container.began:
                await self._halt(record)
            image = self._images.find(record.guest.image)
            disk_file = self._records.directory(guest_id) / "disk.ext4"
            try:
                await _uninterrupted(lambda: bundle.open_directory(container.directory, record.first_id))
                await _uninterrupted(lambda: bundle.mount(container.directory, record, image, disk_file))
                yield
            finally:
                await _uninterrupted(lambda: bundle.close_directory(container.directory))

    async def observe(self, guest_id: str) -> GuestState | None:
        record = self._records.load(guest_id)
        return None if record is None else self._look(record)

    async def list_guests(self) -> list[GuestState]:
        return [self._look(record) for record in self._records.all()]

    async def console_log(self, guest_id: str, tail_lines: int | None = None) -> str:
        _present(self._records.load(guest_id), guest_id)
        return await asyncio.to_thread(console.read, self._console_log(guest_id), tail_lines)

    def watch(self, changed: Changed) -> None:
        self._watchers.append(changed)

    def _container(self, guest_id: str) -> Container:
        return Container(self._runtime, guest_id)

    def _console_log(self, guest_id: str) -> Path:
        return self._records.directory(guest_id) / "console.log"

    @contextlib.asynccontextmanager
    async def _turn(self, guest_id: str, epoch: int) -> AsyncIterator[Record | None]:
        """One at a time on a guest, and none that is out of date."""
        async with self._lock(guest_id):
            self._epochs.admit(guest_id, epoch)
            yield self._records.load(guest_id)

    def _lock(self, guest_id: str) -> asyncio.Lock:
        return self._locks.setdefault(guest_id, asyncio.Lock())

    def _free_range(self, guest_id: str) -> int:
        try:
            return id_ranges.choose(guest_id, {record.first_id for record in self._records.all()})
        except LookupError as error:
            raise HypervisorError(f"This host has no room for another container: {error}.") from error

    def _look(self, record: Record) -> GuestState:
        """What the guest does, and in words why it ended."""
        guest_id, limit = record.guest.id, record.guest.memory_mib
        container = self._container(guest_id)
        status = container.exit_status
        power, reason = Power.CRASHED, ""
        if container.is_running or status == _REBOOTED:
            # One that reboots is about to be started again, as a machine would do by itself.
            power, reason = Power.RUNNING, ""
        elif status in (0, _POWERED_OFF):
            power, reason = Power.STOPPED, "The guest powered off."
        elif status == _SIGNALLED + signal.SIGKILL and container.met_memory_limit:
            reason = f"The guest's init was killed; it had run out of its {limit} MiB of memory."
        elif status is not None and status > _SIGNALLED:
            reason = f"The guest's init was killed by {_signal_name(status - _SIGNALLED)}."
        elif status is not None:
            reason = f"The guest's init ended with exit status {status}."
        elif record.boot_id is None:
            power = Power.STOPPED
        elif record.boot_id != boot_id():
            power, reason = Power.STOPPED, "The host was restarted."
        else:
            reason = "The guest ended, and how is not known: its monitor was killed too."
        return GuestState(id=guest_id, power=power, reason=reason or None)

    async def _boot(self, record: Record) -> None:
        """Start the guest from its disk, whatever was left of an earlier run."""
        guest_id = record.guest.id
        container = self._container(guest_id)
        if container.began or record.boot_id is not None:
            await self._halt(record)
        image = self._images.find(record.guest.image)
        await _uninterrupted(lambda: bundle.open_directory(container.directory, record.first_id))
        await _both(self._create(container, record, image), self._plug(record))
        await container.start(record.first_id)
        record.boot_id = boot_id()
        self._records.save(record)
        self._follow(guest_id)

    async def _create(self, container: Container, record: Record, image: Path) -> None:
        directory = container.directory
        disk_file = self._records.directory(container.id) / "disk.ext4"
        await _uninterrupted(lambda: bundle.mount(directory, record, image, disk_file))
        init = rootfs.find_init(directory / "rootfs")
        record.power_off = init.power_off
        configuration = bundle.configuration(directory, record, self._runtime, init)
        await container.create(configuration, self._console_log(container.id))

    async def _halt(self, record: Record, *, parting: bool = False) -> None:
        """Have nothing of the guest run, and nothing left of its run. When `parting`, a switch that does not
        answer keeps nobody: it forgets the guest when it is taken down or comes back."""
        container = self._container(record.guest.id)
        if follower := self._followers.pop(container.id, None):
            follower.cancel()
        if container.began:
            await container.kill()
        for nic in record.guest.nics:
            with contextlib.suppress(*([HypervisorError] if parting else [])):
                await vif.unplug(nic)
        if container.began:
            await _uninterrupted(lambda: bundle.close_directory(container.directory))
        if record.boot_id is not None:
            record.boot_id = None
            self._records.save(record)

    async def _plug(self, record: Record) -> None:
        """Have every NIC of the guest in its network namespace, up, under its name."""
        namespace = str(self._container(record.guest.id).directory / namespaces.NETWORK)
        for nic in record.guest.nics:
            await vif.plug_veth(nic, namespace, record.nic_names[nic.port_id])

    async def _unplug(self, nics: Iterable[Nic]) -> None:
        for nic in nics:
            await vif.unplug(nic)

    def _follow(self, guest_id: str) -> None:
        """Tell the watchers once the guest has ended by itself; start it again if it asked to reboot."""
        if not self._container(guest_id).began:
            return
        task = asyncio.create_task(self._await_end(guest_id), name=f"follow container {guest_id}")
        self._followers[guest_id] = task

    async def _await_end(self, guest_id: str) -> None:
        container = self._container(guest_id)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await container.ended()
        if container.exit_status == _REBOOTED:
            await asyncio.sleep(_QUICK_REBOOT_SECONDS - (loop.time() - began))
            with contextlib.suppress(HypervisorError):
                await self._reboot(guest_id)
                return
        self._followers.pop(guest_id, None)
        await asyncio.gather(*(changed(guest_id) for changed in self._watchers))

    async def _reboot(self, guest_id: str) -> None:
        async with self._lock(guest_id):
            record = self._records.load(guest_id)
            if record is not None and self._container(guest_id).exit_status == _REBOOTED:
                # This very task: starting again must not end it.
                self._followers.pop(guest_id, None)
                await self._boot(record)


def _import_early() -> None:
    """What plugging a NIC imports: half a second, off the event loop and not in the first guest's way."""
    import pyroute2

    assert pyroute2


def _present(record: Record | None, guest_id: str) -> Record:
    if record is None:
        raise GuestNotFound(f"There is no guest {guest_id} on this host.")
    return record


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


async def _uninterrupted(work: Callable[[], T]) -> T:
    """Run blocking work in a thread, to its end even if the caller is cancelled: nothing may still be at
    work on a guest when the next one takes its turn."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
    except subprocess.CalledProcessError as error:
        raise HypervisorError(f"{error.cmd[0]} failed: {error.stderr.strip()}") from error
    except OSError as error:
        raise HypervisorError(str(error)) from error


async def _both(one: Awaitable[None], other: Awaitable[None]) -> None:
    """Do both at the same time; when one fails the other is still awaited."""
    for outcome in await asyncio.gather(one, other, return_exceptions=True):
        if outcome is not None:
            raise outcome
