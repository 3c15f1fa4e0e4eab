"""The contract's rig over real containers, in directories of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pileus.drivers.hypervisor.runc import RuncHypervisor, cgroups, processes
from pileus.drivers.hypervisor.runc.record import Records
from pileus.drivers.process import ended
from pileus.services.compute.driver import Guest, Image
from pileus.testing.contract.hypervisor import Rig
from pileus.testing.waiting import until

from . import busybox_rootfs
from .open_vswitch import OpenVSwitch


@contextlib.contextmanager
def runc_rig() -> Iterator[RuncRig]:
    """A rig in a directory that every user can pass through, as guests' must; pytest's own are closed."""
    with tempfile.TemporaryDirectory(dir="/run", prefix="pileus-test-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield RuncRig(directory)


class RuncRig(Rig):
    ready_text = busybox_rootfs.READY
    boot_seconds = 60.0
    switch: OpenVSwitch
    """Where tests that need one plug NICs."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory
        self.pids_limit = 4096
        self.tarball = busybox_rootfs.tarball("gz")

    def new_driver(self) -> RuncHypervisor:
        directories = self.directory / "state", self.directory / "run"
        return RuncHypervisor(*directories, pids_limit=self.pids_limit)

    def new_images(self) -> dict[str, Image]:
        return {"image": self.new_image(self.tarball, "rootfs")}

    async def boot_of(self, guest_id: str) -> object:
        pid = self.init_pid(guest_id)
        return pid, processes.start_time(pid)

    async def crash(self, guest_id: str) -> None:
        self.kill(self.init_pid(guest_id))

    def traces(self, guest_id: str) -> list[str]:
        found = [str(path) for path in self.directory.rglob(f"*{guest_id}*") if path.parent.name != "epochs"]
        found += [f"cgroup {group}" for group in self._groups(guest_id)]
        found += [line for line in Path("/proc/mounts").read_text().splitlines() if guest_id in line]
        for command in (["ps", "-e", "-o", "pid,args"], ["losetup", "--list", "--output", "NAME,BACK-FILE"]):
            lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
            found += [line for line in lines if guest_id in line]
        return found

    def bundle(self, guest_id: str) -> Path:
        return self.directory / "run" / "guests" / guest_id

    def console_log(self, guest_id: str) -> Path:
        return self.directory / "state" / "guests" / guest_id / "console.log"

    def init_pid(self, guest_id: str) -> int:
        return int((self.bundle(guest_id) / "init.pid").read_text())

    def monitor_pid(self, guest_id: str) -> int:
        return int((self.bundle(guest_id) / "conmon.pid").read_text())

    def process_status(self, guest_id: str) -> str:
        return Path(f"/proc/{self.init_pid(guest_id)}/status").read_text()

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    def cgroup_values(self, guest_id: str, *names: str) -> list[str]:
        """The content of these files of the guest's cgroups, those that this host has."""
        files = (group / name for group in self._groups(guest_id) for name in names)
        return [file.read_text() for file in files if file.exists()]

    def _groups(self, guest_id: str) -> list[Path]:
        """The guest's cgroups: one in each hierarchy of this host."""
        roots = (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir())
        return [group for root in roots if (group := root / f"pileus-{guest_id}").exists()]

    async def order(self, guest_id: str, script: str) -> Path:
        """Have the guest's root run a shell script, once it is up; gives where the answer will be."""
        root = self.bundle(guest_id) / "rootfs" / "root"
        ordering = root / "ordering"
        await asyncio.to_thread(ordering.write_text, script)
        ordering.chmod(0o644)
        ordering.rename(root / "order")
        return root / "answer"

    async def tell(self, guest_id: str, script: str) -> str:
        """What the script printed, and `status N` as the last line."""
        answer = await self.order(guest_id, script)

        async def answered() -> bool:
            return answer.exists()

        await until(answered, self.boot_seconds)
        text = answer.read_text()
        answer.unlink()
        return text

    def put_program(self, guest_id: str, content: bytes) -> None:
        program = self.bundle(guest_id) / "rootfs" / "root" / "program"
        program.unlink(missing_ok=True)
        program.write_bytes(content)
        program.chmod(0o755)

    async def restart_host(self, guest_id: str) -> None:
        """Leave what a restart would: no process, no mount, nothing volatile."""
        pids = (self.monitor_pid(guest_id), self.init_pid(guest_id))
        for pid in pids:
            self.kill(pid)
        for pid in pids:
            await ended(pid)
        await until(lambda: self._without_cgroups(guest_id), self.boot_seconds)
        await asyncio.to_thread(self._without_run, guest_id)

    async def _without_cgroups(self, guest_id: str) -> bool:
        return cgroups.remove(cgroups.hierarchies().of(f"/pileus-{guest_id}"))

    def _without_run(self, guest_id: str) -> None:
        for name in ("rootfs", "disk", "lower", "user", "net"):
            subprocess.run(["umount", str(self.bundle(guest_id) / name)], check=True)
        shutil.rmtree(self.directory / "run")
        records = Records(self.directory / "state" / "guests")
        record = records.load(guest_id)
        assert record is not None
        record.boot_id = "an earlier boot"
        records.save(record)

    async def begin_and_be_killed(self, guest: Guest, seconds: float) -> None:
        """Let another process start the guest, and kill that process this long after it began to."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.host.runc_beginner", str(self.directory)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(guest))
        process.stdin.close()
        await process.stdout.readline()
        await asyncio.sleep(seconds)
        process.kill()
        await process.wait()
