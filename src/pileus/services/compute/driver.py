"""What compute needs of a host: a hypervisor that brings guests to the state that is asked for.

Every method is idempotent and converges: it looks at what is there and moves it to what is asked for, so
that create, repair and restart take one path. Methods that change something carry the strand's `epoch`;
a host refuses an epoch older than the newest it has seen for that guest (`StaleEpoch`). Guests outlive the
process that started them and are found again by `observe` and `list_guests`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import msgspec

from pileus.kernel.clock import Clock


class Power(StrEnum):
    """What a guest does, or should do."""

    RUNNING = "running"
    STOPPED = "stopped"
    CRASHED = "crashed"
    """Ended by itself in a way that is no clean power-off. Only observed, never asked for."""


class Firmware(StrEnum):
    BIOS = "bios"
    UEFI = "uefi"


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image as the host's cache knows it. Its bytes never change while `id` stays the same."""

    id: str
    disk_format: str
    """qcow2, raw, or `rootfs` (a tarball of a root filesystem, for containers)."""
    size_bytes: int
    sha512: str | None = None
    kernel_id: str | None = None
    ramdisk_id: str | None = None


class Vif(msgspec.Struct, frozen=True, kw_only=True):
    """How a port is plugged on this host, as the network's driver says (`binding:vif_type`, `…_details`)."""

    type: str
    """`ovs` (a tap or veth end becomes a port of an Open vSwitch bridge), or `sim` (nothing to plug)."""
    details: dict[str, Any] = {}
    """For `ovs`: `netns` (where the bridge lives, "" for the host's), `bridge`, `ovsdb` (its socket)."""


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    port_id: str
    mac: str
    mtu: int
    vif: Vif


class Guest(msgspec.Struct, frozen=True, kw_only=True):
    """All that a guest should be on its host; the same value always gives the same guest."""

    id: str
    """The server's UUID, which is also the machine's (SMBIOS) UUID."""
    hostname: str
    vcpus: int
    memory_mib: int
    root_gib: int
    """Size of the root disk; 0 takes the image's own size."""
    image: Image
    kernel: Image | None = None
    ramdisk: Image | None = None
    command_line: str = "root=/dev/vda1 console=tty0 console=ttyS0"
    """For `kernel` alone: what it is started with (`os_command_line`)."""
    firmware: Firmware = Firmware.BIOS
    nics: tuple[Nic, ...] = ()
    config_drive: dict[str, bytes] | None = None
    """Files of the config drive by path (`openstack/latest/meta_data.json`), or no drive."""
    extra_specs: dict[str, str] = {}


class GuestState(msgspec.Struct, frozen=True, kw_only=True):
    """What is there, as the host sees it."""

    id: str
    power: Power
    reason: str | None = None
    """Why it stopped or crashed, in words for a user, where known."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What this host's hypervisor can do, as data for the scheduler and for `doctor`."""

    hypervisor_type: str
    """`QEMU`, `runc` or `sim`; upstream's `hypervisor_type`. What flavors (`hw:hypervisor`) and images ask for."""
    hypervisor_version: int
    vcpus: int
    memory_mib: int
    disk_gib: int
    disk_formats: tuple[str, ...]
    """Images that it starts. A server whose flavor and image ask for no type may come to any hypervisor that
    starts its image."""
    traits: tuple[str, ...] = ()
    accelerated: bool = False
    """Whether guests run on the processor itself (KVM), found out by running one."""
    cpu_info: dict[str, Any] = {}


class HypervisorError(Exception):
    """The host could not do it; the message is for the user and names the cause."""


class StaleEpoch(HypervisorError):
    """A newer strand has already acted on this guest; the caller is out of date and must stop."""


class GuestNotFound(HypervisorError):
    """There is no such guest on this host."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A guest's root disk at one moment, in the form of an image."""

    disk_format: str
    container_format: str
    chunks: AsyncIterator[bytes]


OpenImage = Callable[[str], AsyncIterator[bytes]]
"""Gives the bytes of the image with this id, in chunks of any size."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a hypervisor is made with: the host it works on, and where it may keep things there."""

    host: str
    directory: Path
    """Its own, and made by it: lasts as long as the cloud's state."""
    run_directory: Path
    """For what a reboot may take, under /run; all hypervisors of the host share it."""
    clock: Clock


class Hypervisor(Protocol):
    """One host's way of running guests; see the module's text for the rules that all of it keeps."""

    async def start(self) -> Capabilities:
        """Get ready and look at what the host can do. Adopts guests that still run. Called once."""

    async def close(self) -> None:
        """Let go of connections and watchers; guests run on."""

    async def halt(self, grace_seconds: float) -> None:
        """The cloud goes down on this host: guests are asked to power off and after the grace ended, and no
        process, link, mount or namespace of theirs stays. Disks do. Comes after `start`, before `close`."""

    async def ensure_image(self, image: Image, open_image: OpenImage) -> None:
        """Have the image in the host's cache, whole and in the form that guests start from."""

    async def ensure(self, guest: Guest, power: Power, epoch: int) -> GuestState:
        """Bring disks, NICs and power to what is asked for; its images must be in the cache. A running
        guest is never restarted. `Power.STOPPED` pulls the plug."""

    async def shut_down(self, guest_id: str, epoch: int) -> None:
        """Ask the guest's system to power off; returns at once, `observe` or `watch` tells when it has.
        One that does not run has nothing to do; raises GuestNotFound."""

    async def reset(self, guest_id: str, epoch: int) -> None:
        """Hard reset: the guest starts again at once, its disks and NICs stay. One that does not run is
        started; raises GuestNotFound."""

    async def destroy(self, guest_id: str, epoch: int) -> None:
        """Leave nothing of the guest: no process, disk, tap, directory. What is not there is no error. Only its
        newest epoch is kept, so that a worker who is out of date does not bring it back."""

    def snapshot(self, guest_id: str) -> AbstractAsyncContextManager[Snapshot]:
        """The root disk as it is now, for as long as the block lasts; the guest goes on, running or not. Afterwards
        nothing of it is left on the host, also where the process that asked for it died in between and asks again.
        Raises GuestNotFound, and where this host can't do it HypervisorError."""

    async def observe(self, guest_id: str) -> GuestState | None:
        """What is there now, or None."""

    async def list_guests(self) -> list[GuestState]:
        """All guests of this hypervisor on this host, running or not."""

    async def console_log(self, guest_id: str, tail_lines: int | None = None) -> str:
        """What the guest wrote to its serial console, or its last lines; raises GuestNotFound."""

    async def forget_image(self, image_id: str) -> None:
        """Drop an image from the cache once no guest needs it."""

    def watch(self, changed: Callable[[str], Awaitable[None]]) -> None:
        """From now on, call `changed(guest_id)` when a guest's power changes by itself. A hint, no truth."""
