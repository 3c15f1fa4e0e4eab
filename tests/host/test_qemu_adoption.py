"""Guests and the processes that run them: who outlives whom, and who is taken for whom."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar

import msgspec
import pytest

from pileus.drivers import vif
from pileus.drivers.hypervisor.qemu.disks import run_tool
from pileus.drivers.hypervisor.qemu.process import Process
from pileus.drivers.process import holder
from pileus.services.compute.driver import Guest, HypervisorError, Power
from pileus.testing.contract.story import story

from .qemu_rig import QemuRig

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.timeout(300)]

CONFIG_DRIVE = {"openstack/latest/meta_data.json": b'{"hostname": "tiny"}'}


class TestAdoption:
    @story
    async def test_a_guest_outlives_the_process_that_started_it(self, rig: QemuRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.close()
        parent = await _begin(rig, guest, "ensure")
        assert parent.stdout is not None
        assert await parent.stdout.readline() == b"done\n"
        boot = await rig.boot_of(guest.id)
        parent.kill()
        await parent.wait()
        driver = await rig.start()
        assert (await driver.ensure(guest, Power.RUNNING, 3)).power is Power.RUNNING
        assert await rig.boot_of(guest.id) == boot
        await rig.until_console(driver, guest.id, rig.ready_text)
        assert (await driver.console_log(guest.id)).count(rig.ready_text) == 1
        await driver.shut_down(guest.id, 3)
        await rig.until_power(driver, guest.id, Power.STOPPED)

    @story
    async def test_killed_at_any_moment_it_goes_on(self, rig: QemuRig) -> None:
        """The process is killed while it starts the guest, then while it destroys it; the next goes on."""
        switch, random = rig.switch, Random(20)
        for _ in range(8):
            driver = await rig.start()
            guest = await rig.new_guest(driver, nics=(switch.new_nic(),), config_drive=CONFIG_DRIVE)
            await driver.close()
            await _killed_after(random.uniform(0, 0.12), rig, guest, "ensure")
            driver = await rig.start()
            state = await _persist(partial(driver.ensure, guest, Power.RUNNING, 3))
            assert state.power is Power.RUNNING
            assert len(rig.pids(guest.id)) == 1
            await driver.close()
            await _killed_after(random.uniform(0, 0.05), rig, guest, "destroy")
            driver = await rig.start()
            await _persist(partial(driver.destroy, guest.id, 4))
            assert rig.traces(guest.id) == []
            assert switch.ports() == []
            assert switch.link(vif.link_name(guest.nics[0].port_id)) is None

    @story
    async def test_a_pid_that_is_someone_elses_is_never_taken_for_the_guests(self, rig: QemuRig) -> None:
        first = await rig.start()
        guest = await rig.new_guest(first)
        await first.ensure(guest, Power.RUNNING, 1)
        await first.close()
        await rig.crash(guest.id)
        stranger = await asyncio.create_subprocess_exec("sleep", "100")
        (rig.state / "guests" / guest.id / "qemu.pid").write_text(f"{stranger.pid}\n")
        second = await rig.start()
        state = await second.observe(guest.id)
        assert state is not None
        assert state.power is Power.CRASHED
        await second.destroy(guest.id, 2)
        assert stranger.returncode is None
        stranger.terminate()
        assert await stranger.wait() == -signal.SIGTERM, "a process that is not ours was ended"

    @story
    async def test_a_second_qemu_for_the_same_guest_cannot_start(self, rig: QemuRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        pidfile = rig.state / "guests" / guest.id / "qemu.pid"
        with pytest.raises(HypervisorError, match="Cannot lock pid file"):
            await run_tool(
                "qemu-system-x86_64", "-nodefaults", "-display", "none", "-S", "-pidfile", str(pidfile)
            )
        assert holder(pidfile) == rig.pids(guest.id)[0]


def test_a_process_is_held_and_ended(tmp_path: Path) -> None:
    child = subprocess.Popen(["sleep", "100"])
    child.returncode = 0

    async def play() -> None:
        process = Process(child.pid)
        await process.kill()
        await process.kill()
        assert process.signal == signal.SIGKILL
        with pytest.raises(ProcessLookupError):
            Process(child.pid)

    asyncio.run(play())
    assert holder(tmp_path / "none") is None


T = TypeVar("T")


async def _persist(call: Callable[[], Awaitable[T]]) -> T:
    """As a strand does: what fails is tried again, for a while."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return await call()
        except HypervisorError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.1)


async def _begin(rig: QemuRig, guest: Guest, verb: str) -> asyncio.subprocess.Process:
    """A process of its own whose driver now begins with `ensure` or `destroy` of the guest."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _OTHER_PROCESS, str(rig.state), verb),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(guest) + b"\n")
    assert await process.stdout.readline() == b"started\n"
    return process


async def _killed_after(seconds: float, rig: QemuRig, guest: Guest, verb: str) -> None:
    process = await _begin(rig, guest, verb)
    await asyncio.sleep(seconds)
    process.kill()
    await process.wait()


_OTHER_PROCESS = """
import asyncio, sys
from pathlib import Path
import msgspec
from pileus.drivers.hypervisor.qemu import QemuHypervisor
from pileus.kernel.clock import SystemClock
from pileus.services.compute.driver import Guest, Power

async def main():
    state, verb = sys.argv[1:]
    guest = msgspec.json.decode(sys.stdin.readline(), type=Guest)
    driver = QemuHypervisor(Path(state), SystemClock())
    await driver.start()
    import pyroute2, qemu.qmp
    print("started", flush=True)
    if verb == "ensure":
        await driver.ensure(guest, Power.RUNNING, 2)
    else:
        await driver.destroy(guest.id, 3)
    print("done", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
