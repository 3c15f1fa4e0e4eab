"""A host with QEMU, for the hypervisor contract and for what only QEMU does."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
from pathlib import Path
from typing import Any

from pileus.drivers.hypervisor.qemu import QemuHypervisor
from pileus.kernel.clock import SystemClock
from pileus.services.compute.driver import Guest, Hypervisor, Image
from pileus.testing.contract.hypervisor import Rig

from .open_vswitch import OpenVSwitch
from .tiny_linux import COMMAND_LINE, READY, TinyLinux


class QemuRig(Rig):
    ready_text = READY
    boot_seconds = 120.0
    switch: OpenVSwitch
    """Where a test needs one."""

    def __init__(self, state: Path, linux: TinyLinux) -> None:
        super().__init__()
        self.state = state
        self.linux = linux
        blank = state / "blank.qcow2"
        state.mkdir(exist_ok=True)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", blank, "64M"], check=True)
        self.blank = blank.read_bytes()
        blank.unlink()

    def new_driver(self) -> QemuHypervisor:
        return QemuHypervisor(self.state, SystemClock())

    def new_images(self) -> dict[str, Image]:
        return {
            "image": self.new_image(self.blank, "qcow2"),
            "kernel": self.new_image(self.linux.kernel, "aki"),
            "ramdisk": self.new_image(self.linux.ramdisk, "ari"),
        }

    async def new_guest(self, driver: Hypervisor, **changes: Any) -> Guest:
        return await super().new_guest(driver, **{"command_line": COMMAND_LINE, **changes})

    async def boot_of(self, guest_id: str) -> object:
        (pid,) = self.pids(guest_id)
        return pid, _start_time(pid)

    async def crash(self, guest_id: str) -> None:
        for pid in self.pids(guest_id):
            end = os.pidfd_open(pid)
            signal.pidfd_send_signal(end, signal.SIGKILL)
            await asyncio.to_thread(select.select, [end], [], [], 10)
            os.close(end)

    def traces(self, guest_id: str) -> list[str]:
        processes = [f"process {pid}" for pid in self.pids(guest_id)]
        paths = [path for path in self.state.rglob("*") if guest_id in str(path.relative_to(self.state))]
        return processes + [str(path) for path in paths if path.parent.name != "epochs"]

    def pids(self, guest_id: str) -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if words[0].startswith(b"qemu-system") and guest_id.encode() in words:
                found.append(int(path.parent.name))
        return found


def _start_time(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
