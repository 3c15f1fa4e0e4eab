"""A complete hypervisor in memory: guests that boot, halt and crash by a clock, with faults by a seed.

The `World` is what would be on the hosts: it outlives a `SimHypervisor`, as guests outlive the process that
started them, so a test may drop a driver at any point and build a new one over the same world.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import tarfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from pileus.kernel.clock import Clock
from pileus.lib.console_text import last_lines
from pileus.services.compute.driver import (
    Capabilities,
    Guest,
    GuestNotFound,
    GuestState,
    HypervisorError,
    Image,
    OpenImage,
    Place,
    Power,
    Snapshot,
    StaleEpoch,
)

Changed = Callable[[str], Awaitable[None]]

DISK_FORMATS = ("qcow2", "raw", "rootfs")


@dataclass
class Turn:
    """A change of power that a guest makes by itself once its time comes."""

    at: datetime
    power: Power
    reason: str


@dataclass
class SimGuest:
    spec: Guest
    power: Power = Power.STOPPED
    reason: str | None = None
    boots: int = 0
    console: list[str] = field(default_factory=list)
    turn: Turn | None = None

    def settle(self, now: datetime) -> bool:
        """Make the change that is due, if one is; tells whether it did."""
        if self.turn is None or self.turn.at > now:
            return False
        self.end(self.turn.power, self.turn.reason)
        return True

    def end(self, power: Power, reason: str | None) -> None:
        self.power, self.reason, self.turn = power, reason, None
        self.console.append("reboot: Power down\n" if power is Power.STOPPED else f"guest ended: {reason}\n")

    @property
    def state(self) -> GuestState:
        return GuestState(id=self.spec.id, power=self.power, reason=self.reason)


@dataclass
class HostWorld:
    """What is on one host."""

    images: dict[str, Image] = field(default_factory=dict)
    guests: dict[str, SimGuest] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    changed: Callable[[str], None] | None = None
    """Set by the driver that is in charge; the newest one wins."""

    def crash(self, guest_id: str, reason: str) -> None:
        """End a running guest as a fault of its machine would."""
        guest = self.guests[guest_id]
        if guest.power is Power.RUNNING:
            guest.end(Power.CRASHED, reason)
            if self.changed is not None:
                self.changed(guest_id)


class World:
    """All hosts, by name; a host is there once it is asked for."""

    def __init__(self) -> None:
        self.hosts: defaultdict[str, HostWorld] = defaultdict(HostWorld)


@dataclass(frozen=True)
class Failure:
    message: str
    after: bool


class Faults:
    """What goes wrong and how long things take. Equal seeds and equal calls give equal faults."""

    def __init__(self, seed: int = 0) -> None:
        self.random = Random(seed)
        self.calls: Counter[str] = Counter()
        self.latency: dict[str, tuple[float, float]] = {}
        """By method, the least and the most seconds that a call of it takes; `power_off` is how long a guest
        takes to halt when it is asked to."""
        self.crash_probability = 0.0
        self.crash_after = (0.0, 60.0)
        """How likely a boot ends in a crash, and within how many seconds."""
        self.deaf_probability = 0.0
        """How likely a guest does not heed the request to power off."""
        self._failures: dict[tuple[str, int], Failure] = {}

    def fail(
        self, method: str, nth: int = 1, *, message: str = "simulated fault", after: bool = False
    ) -> None:
        """Let the nth call of `method`, counted from now, raise `HypervisorError`; with `after`, once it has
        taken effect, as when an answer is lost."""
        self._failures[method, self.calls[method] + nth] = Failure(message, after)

    def count(self, method: str) -> Failure | None:
        self.calls[method] += 1
        return self._failures.pop((method, self.calls[method]), None)

    def seconds(self, method: str) -> float:
        return self.random.uniform(*self.latency[method]) if method in self.latency else 0.0

    def happens(self, probability: float) -> bool:
        return probability > 0 and self.random.random() < probability


class SimHypervisor:
    """One host of the world; see `Hypervisor` for what its methods promise."""

    def __init__(
        self,
        world: World,
        host: str,
        clock: Clock,
        faults: Faults | None = None,
        *,
        vcpus: int = 64,
        memory_mib: int = 256 * 1024,
        disk_gib: int = 4096,
    ) -> None:
        self.host = world.hosts[host]
        self.clock = clock
        self.faults = faults or Faults()
        self._capabilities = Capabilities(
            hypervisor_type="sim",
            hypervisor_version=1,
            vcpus=vcpus,
            memory_mib=memory_mib,
            disk_gib=disk_gib,
            disk_formats=DISK_FORMATS,
            cpu_info={"arch": "x86_64", "model": "sim"},
        )
        self._image_locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._watchers: list[Changed] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    def at(cls, place: Place) -> SimHypervisor:
        """One whose world ends with this process."""
        return cls(World(), place.host, place.clock)

    async def start(self) -> Capabilities:
        async with self._call("start"):
            self.host.changed = self._tell
            for guest_id in self.host.guests:
                self._await_turn(guest_id)
            return self._capabilities

    async def close(self) -> None:
        if self.host.changed == self._tell:
            self.host.changed = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def halt(self, grace_seconds: float) -> None:
        for guest in self.host.guests.values():
            guest.power = Power.STOPPED

    async def ensure_image(self, image: Image, open_image: OpenImage) -> None:
        async with self._call("ensure_image"), self._image_locks[image.id]:
            if image.id in self.host.images:
                return
            digest = hashlib.sha512()
            async for chunk in open_image(image.id):
                digest.update(chunk)
            if image.sha512 is not None and image.sha512 != digest.hexdigest():
                raise HypervisorError(
                    f"Image {image.id} arrived damaged: its SHA-512 is {digest.hexdigest()}, "
                    f"{image.sha512} was promised. Upload it again."
                )
            self.host.images[image.id] = image

    async def ensure(self, guest: Guest, power: Power, epoch: int) -> GuestState:
        async with self._call("ensure"):
            self._admit(guest.id, epoch)
            for image in (guest.image, guest.kernel, guest.ramdisk):
                if image is not None and image.id not in self.host.images:
                    raise HypervisorError(f"Image {image.id} is not in this host's cache; fetch it first.")
            found = self.host.guests.setdefault(guest.id, SimGuest(guest))
            self._settle(found)
            found.spec = guest
            if power is Power.RUNNING and found.power is not Power.RUNNING:
                self._boot(found)
            elif power is Power.STOPPED and found.power is not Power.STOPPED:
                found.power, found.reason, found.turn = Power.STOPPED, None, None
            return found.state

    async def shut_down(self, guest_id: str, epoch: int) -> None:
        async with self._call("shut_down"):
            self._admit(guest_id, epoch)
            found = self._find(guest_id)
            if found.power is Power.RUNNING and not self.faults.happens(self.faults.deaf_probability):
                delay = timedelta(seconds=self.faults.seconds("power_off"))
                found.turn = Turn(self.clock.now() + delay, Power.STOPPED, "The guest powered off.")
                self._await_turn(guest_id)

    async def reset(self, guest_id: str, epoch: int) -> None:
        async with self._call("reset"):
            self._admit(guest_id, epoch)
            self._boot(self._find(guest_id))

    async def destroy(self, guest_id: str, epoch: int) -> None:
        async with self._call("destroy"):
            self._admit(guest_id, epoch)
            self.host.guests.pop(guest_id, None)

    @contextlib.asynccontextmanager
    async def snapshot(self, guest_id: str) -> AsyncIterator[Snapshot]:
        """A disk that holds nothing but whose it is, and how often it was booted."""
        async with self._call("snapshot"):
            found = self._find(guest_id)
            content = f"{guest_id} after {found.boots} boots\n".encode()
            if found.spec.image.disk_format == "rootfs":
                yield Snapshot(
                    disk_format="raw", container_format="docker", chunks=_chunks(_archive(content))
                )
            else:
                yield Snapshot(
                    disk_format="raw", container_format="bare", chunks=_chunks(content.ljust(512, b"\0"))
                )

    async def observe(self, guest_id: str) -> GuestState | None:
        async with self._call("observe"):
            found = self.host.guests.get(guest_id)
            if found is None:
                return None
            self._settle(found)
            return found.state

    async def list_guests(self) -> list[GuestState]:
        async with self._call("list_guests"):
            for guest in self.host.guests.values():
                self._settle(guest)
            return [guest.state for guest in self.host.guests.values()]

    async def console_log(self, guest_id: str, tail_lines: int | None = None) -> str:
        async with self._call("console_log"):
            return last_lines("".join(self._find(guest_id).console), tail_lines)

    async def forget_image(self, image_id: str) -> None:
        async with self._call("forget_image"):
            needed = (
                image.id
                for guest in self.host.guests.values()
                for image in (guest.spec.image, guest.spec.kernel, guest.spec.ramdisk)
                if image is not None
            )
            if image_id not in needed:
                self.host.images.pop(image_id, None)

    def watch(self, changed: Changed) -> None:
        self._watchers.append(changed)

    @contextlib.asynccontextmanager
    async def _call(self, method: str) -> AsyncIterator[None]:
        failure = self.faults.count(method)
        if method in self.faults.latency:
            await self.clock.sleep(self.faults.seconds(method))
        if failure is not None and not failure.after:
            raise HypervisorError(failure.message)
        yield
        if failure is not None:
            raise HypervisorError(failure.message)

    def _admit(self, guest_id: str, epoch: int) -> None:
        newest = self.host.epochs.get(guest_id, epoch)
        if epoch < newest:
            raise StaleEpoch(f"Epoch {epoch} for guest {guest_id} is older than {newest}.")
        self.host.epochs[guest_id] = epoch

    def _find(self, guest_id: str) -> SimGuest:
        found = self.host.guests.get(guest_id)
        if found is None:
            raise GuestNotFound(f"There is no guest {guest_id} on this host.")
        self._settle(found)
        return found

    def _settle(self, guest: SimGuest) -> None:
        if guest.settle(self.clock.now()):
            self._tell(guest.spec.id)

    def _boot(self, guest: SimGuest) -> None:
        guest.boots += 1
        guest.power, guest.reason, guest.turn = Power.RUNNING, None, None
        guest.console.extend(_boot_messages(guest.spec, guest.boots, self.faults.random))
        if self.faults.happens(self.faults.crash_probability):
            delay = timedelta(seconds=self.faults.random.uniform(*self.faults.crash_after))
            guest.turn = Turn(
                self.clock.now() + delay, Power.CRASHED, "The guest's kernel panicked (simulated)."
            )
            self._await_turn(guest.spec.id)

    def _await_turn(self, guest_id: str) -> None:
        turn = self.host.guests[guest_id].turn
        if turn is None:
            return

        async def wait(turn: Turn) -> None:
            await self.clock.sleep((turn.at - self.clock.now()).total_seconds())
            guest = self.host.guests.get(guest_id)
            if guest is not None:
                self._settle(guest)

        self._spawn(wait(turn))

    def _tell(self, guest_id: str) -> None:
        for watcher in self._watchers:
            self._spawn(watcher(guest_id))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _archive(content: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo("etc/hostname")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _boot_messages(guest: Guest, boot: int, random: Random) -> Iterator[str]:
    """What a small Linux guest would write to its serial console."""
    seconds = 0.0
    kib = guest.memory_mib * 1024
    for message in (
        "Linux version 6.1.0-sim (pileus) #1 SMP PREEMPT_DYNAMIC",
        "Command line: root=/dev/vda1 console=ttyS0",
        f"DMI: Pileus sim, machine {guest.id}",
        f"Memory: {kib * 31 // 32}K/{kib}K available",
        f"smp: Brought up 1 node, {guest.vcpus} CPU{'s' if guest.vcpus > 1 else ''}",
        "virtio_blk virtio0: [vda] "
        f"{guest.root_gib * 2**21 or guest.image.size_bytes // 512} 512-byte logical blocks",
        *(
            f"virtio_net virtio{index + 1} eth{index}: address {nic.mac}, mtu {nic.mtu}"
            for index, nic in enumerate(guest.nics)
        ),
        "EXT4-fs (vda1): mounted filesystem with ordered data mode",
        "Run /sbin/init as init process",
    ):
        yield f"[{seconds:12.6f}] {message}\n"
        seconds += random.uniform(0.001, 0.2)
    source = "config drive" if guest.config_drive is not None else "metadata service"
    yield f"init: boot {boot}, data from the {source}\n"
    yield f"init: hostname set to {guest.hostname}\n"
    for index in range(len(guest.nics)):
        yield f"init: eth{index}: lease obtained\n"
    yield "init: ssh server started\n"
    yield "\n"
    yield f"{guest.hostname} login: \n"
