"""One guest on a host: a directory with all it has on disk, and the QEMU that runs it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from pileus.drivers import vif
from pileus.drivers.hypervisor.image_cache import ImageCache
from pileus.drivers.hypervisor.qemu import cards, console, disks, snapshot
from pileus.drivers.hypervisor.qemu.runner import Runner
from pileus.kernel.files import write_whole
from pileus.lib import qemu_argv
from pileus.services.compute.driver import Firmware, Guest, GuestState, HypervisorError, Image, Power


class Host(msgspec.Struct, frozen=True):
    """What guests of one host have in common."""

    images: ImageCache
    accelerated: bool
    uids: range | None
    """Each guest runs as a user of its own out of these, so that no guest's QEMU can touch another's; None
    when this process is not root, and guests run as its own user."""
    changed: Callable[[str], None]

    def uid_of(self, guest_id: str) -> int | None:
        return self.uids[int(guest_id[:8], 16) % len(self.uids)] if self.uids is not None else None


class QemuGuest:
    """Its methods are called one at a time."""

    def __init__(self, host: Host, directory: Path, spec: Guest) -> None:
        self.spec = spec
        self._host = host
        self._directory = directory
        self._runner = Runner(directory, spec.id, host.changed)

    @classmethod
    def create(cls, host: Host, directory: Path, spec: Guest) -> QemuGuest:
        """Refuses what this host does not have before anything is made."""
        for image in _images(spec):
            host.images.find(image)
        directory.mkdir(mode=0o700, exist_ok=True)
        write_whole(directory / "guest.json", msgspec.json.encode(spec))
        return cls(host, directory, spec)

    @classmethod
    def load(cls, host: Host, directory: Path) -> QemuGuest | None:
        """The guest that a directory is of, or None if its making never got that far."""
        try:
            spec = msgspec.json.decode((directory / "guest.json").read_bytes(), type=Guest)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        return cls(host, directory, spec)

    @property
    def state(self) -> GuestState:
        return self._runner.state

    @property
    def image_ids(self) -> set[str]:
        return {image.id for image in _images(self.spec)}

    async def adopt(self) -> None:
        await self._runner.adopt()

    async def ensure(self, spec: Guest, power: Power) -> None:
        await self._runner.adopt()
        if self._runner.running and power is Power.RUNNING:
            self._refuse_changes(spec)
            await self._replug(spec)
            return
        await self._runner.stop()
        await self._prepare(spec)
        if power is Power.RUNNING:
            await self._start()

    async def shut_down(self) -> None:
        if self._runner.running:
            await self._runner.execute("system_powerdown")

    async def reset(self) -> None:
        # By a new process: after QEMU's own `system_reset` an emulated guest takes seconds longer to boot.
        await self._runner.stop()
        await self._start()

    async def snapshot(self) -> Path:
        """The root disk as it is now, in a file (qcow2) that is the caller's to remove."""
        disk, target = self._directory / "disk.qcow2", self._directory / "snapshot.qcow2"
        target.unlink(missing_ok=True)
        if self._runner.running:
            await snapshot.of_running(self._runner, disk, target)
        else:
            await snapshot.of_stopped(disk, target)
        return target

    async def destroy(self) -> None:
        await self._runner.stop()
        await self._runner.close()
        for nic in self.spec.nics:
            await vif.unplug(nic)
        await asyncio.to_thread(shutil.rmtree, self._directory)

    async def halt(self, grace_seconds: float) -> None:
        """Power off, asked at first, and leave nothing but the disks."""
        with contextlib.suppress(TimeoutError, HypervisorError):
            async with asyncio.timeout(grace_seconds):
                await self.shut_down()
                await self._runner.ended()
        await self._runner.stop()
        for nic in self.spec.nics:
            # A switch that does not answer keeps nobody from parting.
            with contextlib.suppress(HypervisorError):
                await vif.unplug(nic)

    async def close(self) -> None:
        """Let go; the guest runs on."""
        await self._runner.close()

    def console_log(self) -> str:
        return console.read_end(self._directory / "console.log")

    def trim_logs(self) -> None:
        for name in ("console.log", "qemu.log"):
            console.trim(self._directory / name)

    def _refuse_changes(self, spec: Guest) -> None:
        fixed = ("vcpus", "memory_mib", "root_gib", "image")
        changed = [name for name in fixed if getattr(spec, name) != getattr(self.spec, name)]
        if changed:
            raise HypervisorError(
                f"Guest {spec.id} runs, and its {', '.join(changed)} cannot change meanwhile; stop it first."
            )

    async def _replug(self, spec: Guest) -> None:
        """Bring the NICs of the running guest to what is asked for. Until that is done its record has those that
        come and those that go, so that none is left behind."""
        kept = {nic.port_id for nic in spec.nics}
        leaving = tuple(nic for nic in self.spec.nics if nic.port_id not in kept)
        self._record(msgspec.structs.replace(spec, nics=spec.nics + leaving))
        if leaving:
            await cards.take_out(self._runner, leaving)
            for nic in leaving:
                await vif.unplug(nic)
        await cards.put_in(self._runner, spec.nics)
        self._record(spec)

    def _record(self, spec: Guest) -> None:
        if spec != self.spec:
            write_whole(self._directory / "guest.json", msgspec.json.encode(spec))
            self.spec = spec

    async def _prepare(self, spec: Guest) -> None:
        """Bring all that is on disk to what is asked for, while nothing runs."""
        for image in _images(spec):
            self._host.images.find(image)
        kept = {nic.port_id for nic in spec.nics}
        for nic in self.spec.nics:
            if nic.port_id not in kept:
                await vif.unplug(nic)
        root = self._directory / "disk.qcow2"
        if spec.image.id != self.spec.image.id:
            root.unlink(missing_ok=True)
        if not root.exists():
            base = self._host.images.find(spec.image)
            await disks.create_root(root, base, spec.image.disk_format, spec.root_gib)
        elif spec.root_gib > self.spec.root_gib:
            await disks.grow_root(root, spec.root_gib)
        if spec.config_drive is not None:
            await disks.write_config_drive(self._directory / "config-2.iso", spec.config_drive)
        if spec.firmware is Firmware.UEFI:
            disks.copy_variables(self._directory / "variables.fd")
        self._record(spec)

    async def _start(self) -> None:
        taps: list[vif.Tap | None] = []
        try:
            for nic in self.spec.nics:
                taps.append(await vif.plug_tap(nic))
            fds = [tap.fd for tap in taps if tap is not None]
            await self._runner.start(lambda monitor_fd: self._command(taps, monitor_fd), fds)
        finally:
            for tap in taps:
                if tap is not None:
                    os.close(tap.fd)

    def _command(self, taps: list[vif.Tap | None], monitor_fd: int) -> list[str]:
        spec, images = self.spec, self._host.images
        drives = [qemu_argv.Disk(path="disk.qcow2", format="qcow2")]
        if spec.config_drive is not None:
            drives.append(qemu_argv.Disk(path="config-2.iso", format="raw", read_only=True))
        uefi = kernel = None
        if spec.firmware is Firmware.UEFI:
            uefi = qemu_argv.UefiFirmware(code=str(disks.UEFI_CODE), variables="variables.fd")
        if spec.kernel is not None:
            kernel = qemu_argv.DirectKernel(
                path=str(images.path(spec.kernel.id)),
                ramdisk=str(images.path(spec.ramdisk.id)) if spec.ramdisk is not None else None,
                command_line=spec.command_line,
            )
        machine = qemu_argv.Machine(
            uuid=spec.id,
            vcpus=spec.vcpus,
            memory_mib=spec.memory_mib,
            accelerated=self._host.accelerated,
            disks=tuple(drives),
            cards=tuple(
                cards.card_of(nic, tap, tap.fd if tap is not None else None)
                for nic, tap in zip(spec.nics, taps, strict=True)
            ),
            uefi=uefi,
            kernel=kernel,
            run_as=self._host.uid_of(spec.id),
            monitor_fd=monitor_fd,
            pidfile="qemu.pid",
            console_socket="console.sock",
            console_log="console.log",
            vnc_socket="vnc.sock",
        )
        return qemu_argv.argv(machine)


def _images(spec: Guest) -> list[Image]:
    return [image for image in (spec.image, spec.kernel, spec.ramdisk) if image is not None]
