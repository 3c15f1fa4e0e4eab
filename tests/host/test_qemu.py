"""What QEMU guests keep beyond the contract: confinement, disks, real packets, adoption."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import msgspec
import pytest

from pileus.drivers import vif
from pileus.drivers.hypervisor.qemu import console, probe_kvm
from pileus.drivers.hypervisor.qemu.disks import run_tool
from pileus.drivers.hypervisor.qemu.kvm import remembered_probe
from pileus.services.compute.driver import Firmware, HypervisorError, Power
from pileus.testing.contract.story import story

from .open_vswitch import network_namespace
from .qemu_rig import QemuRig
from .tiny_linux import COMMAND_LINE

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.timeout(300)]


CONFIG_DRIVE = {"openstack/latest/meta_data.json": b'{"hostname": "tiny"}'}


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


class TestGuests:
    @story
    async def test_it_is_confined(self, rig: QemuRig) -> None:
        driver = await rig.start()
        one, two = await rig.new_guest(driver), await rig.new_guest(driver)
        owners = set()
        for guest in (one, two):
            await driver.ensure(guest, Power.RUNNING, 1)
            status = status_of(rig.pids(guest.id)[0])
            ids = status["Uid"].split() + status["Gid"].split()
            assert len(set(ids)) == 1
            assert int(ids[0]) > 60_000
            assert status["CapEff"].strip("0") == ""
            assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
            owners.add(ids[0])
        assert len(owners) == 2, "a guest's QEMU must not be able to touch another's"

    @story
    async def test_its_devices(self, rig: QemuRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver, root_gib=3, config_drive=CONFIG_DRIVE)
        await driver.ensure(guest, Power.RUNNING, 1)
        await rig.until_console(driver, guest.id, rig.ready_text)
        log = await driver.console_log(guest.id)
        assert f"disk vda {3 * 2**21}" in log
        assert 'config drive: {"hostname": "tiny"}' in log
        # A stopped guest's disk grows with its flavor.
        await driver.ensure(msgspec.structs.replace(guest, root_gib=5), Power.STOPPED, 1)
        await driver.reset(guest.id, 1)
        await rig.until_console(driver, guest.id, f"disk vda {5 * 2**21}")

    @story
    async def test_uefi_firmware_starts_it(self, rig: QemuRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver, firmware=Firmware.UEFI, memory_mib=256)
        await driver.ensure(guest, Power.RUNNING, 1)
        await rig.until_console(driver, guest.id, "efi: EFI v2")
        await rig.until_console(driver, guest.id, rig.ready_text)

    @story
    async def test_bios_starts_a_raw_disk(self, rig: QemuRig) -> None:
        # Write "disk!" to the first serial port, then halt.
        code = (
            b"\xba\xf8\x03"
            + b"".join(b"\xb0" + bytes([letter]) + b"\xee" for letter in b"disk!\n")
            + b"\xfa\xf4"
        )
        image = rig.new_image((code.ljust(510, b"\0") + b"\x55\xaa").ljust(1 << 20, b"\0"), "raw")
        driver = await rig.start()
        await driver.ensure_image(image, rig.open_image)
        guest = await rig.new_guest(driver, image=image, kernel=None, ramdisk=None)
        await driver.ensure(guest, Power.RUNNING, 1)
        await rig.until_console(driver, guest.id, "disk!")

    @story
    async def test_a_panic_is_a_crash(self, rig: QemuRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver, command_line=f"{COMMAND_LINE} tiny.panic")
        await driver.ensure(guest, Power.RUNNING, 1)
        state = await rig.until_power(driver, guest.id, Power.CRASHED)
        assert state.reason == "The guest's kernel panicked."

    @story
    async def test_who_powered_off_while_nobody_looked_is_stopped_not_crashed(self, rig: QemuRig) -> None:
        first = await rig.start()
        guest = await rig.new_guest(first)
        await first.ensure(guest, Power.RUNNING, 1)
        await rig.until_console(first, guest.id, rig.ready_text)
        await first.shut_down(guest.id, 1)
        await first.close()
        await rig.until_console(first, guest.id, "Power down")
        second = await rig.start()
        state = await rig.until_power(second, guest.id, Power.STOPPED)
        assert state.reason == "The guest powered off."

    @story
    async def test_the_cause_of_death_is_told(self, rig: QemuRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        os.kill(rig.pids(guest.id)[0], signal.SIGTERM)
        state = await rig.until_power(driver, guest.id, Power.CRASHED)
        assert state.reason is not None
        assert "terminating on signal 15" in state.reason
        await driver.ensure(guest, Power.RUNNING, 1)
        os.kill(rig.pids(guest.id)[0], signal.SIGKILL)
        state = await rig.until_power(driver, guest.id, Power.CRASHED)
        assert state.reason == "QEMU was ended by signal 9."

    @story
    async def test_what_qemu_refuses_is_told(self, rig: QemuRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver, memory_mib=1 << 40)
        with pytest.raises(HypervisorError, match=f"{guest.id} cannot be started: QEMU ended: .*memory"):
            await driver.ensure(guest, Power.RUNNING, 1)
        await driver.destroy(guest.id, 1)
        assert rig.traces(guest.id) == []

    @story
    async def test_a_running_guest_cannot_change_shape(self, rig: QemuRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        with pytest.raises(HypervisorError, match="memory_mib cannot change meanwhile"):
            await driver.ensure(msgspec.structs.replace(guest, memory_mib=256), Power.RUNNING, 1)


class TestImages:
    @story
    async def test_an_image_that_reads_other_files_is_refused(self, rig: QemuRig) -> None:
        driver = await rig.start()
        path = rig.state / "evil.qcow2"
        create = ("qemu-img", "create", "-q", "-f", "qcow2")
        await run_tool(*create, "-u", "-b", "/etc/passwd", "-F", "raw", str(path), "1M")
        image = rig.new_image(path.read_bytes(), "qcow2")
        with pytest.raises(HypervisorError, match="refers to another file"):
            await driver.ensure_image(image, rig.open_image)
        data_file = rig.state / "data.raw"
        await run_tool(*create, "-o", f"data_file={data_file}", str(path), "1M")
        image = rig.new_image(path.read_bytes(), "qcow2")
        with pytest.raises(HypervisorError, match="in another file"):
            await driver.ensure_image(image, rig.open_image)
        assert list((rig.state / "images").iterdir()) == []

    @story
    async def test_what_is_no_image_is_refused(self, rig: QemuRig) -> None:
        driver = await rig.start()
        with pytest.raises(HypervisorError, match="qemu-img failed"):
            await driver.ensure_image(rig.new_image(b"no image" * 1000, "qcow2"), rig.open_image)
        with pytest.raises(HypervisorError, match="format 'rootfs'"):
            await driver.ensure_image(rig.new_image(b"tar", "rootfs"), rig.open_image)

    @story
    async def test_a_disk_smaller_than_its_image_is_refused(self, rig: QemuRig) -> None:
        driver = await rig.start()
        path = rig.state / "big.qcow2"
        await run_tool("qemu-img", "create", "-q", "-f", "qcow2", str(path), "3G")
        image = rig.new_image(path.read_bytes(), "qcow2")
        await driver.ensure_image(image, rig.open_image)
        guest = await rig.new_guest(driver, image=image)
        with pytest.raises(HypervisorError, match="needs a root disk of 3 GiB; the flavor gives 1 GiB"):
            await driver.ensure(guest, Power.RUNNING, 1)


class TestNetwork:
    @story
    async def test_tcp_reaches_a_guest_and_nothing_is_left(self, rig: QemuRig) -> None:
        switch = rig.switch
        nic, other = switch.new_nic(), switch.new_nic()
        driver = await rig.start()
        words = f"{COMMAND_LINE} tiny.address=10.9.8.1/24"
        guest = await rig.new_guest(driver, nics=(nic,), command_line=words)
        await driver.ensure(guest, Power.RUNNING, 1)
        await rig.until_console(driver, guest.id, rig.ready_text)
        assert f"card eth0 {nic.mac} {nic.mtu}" in await driver.console_log(guest.id)
        with network_namespace() as home:
            await vif.plug_veth(other, home, "eth0")
            await run_tool("ip", "-n", home, "address", "add", "10.9.8.2/24", "dev", "eth0")
            message = os.urandom(200_000)
            command = ["ip", "netns", "exec", home, "busybox", "nc", "-w", "60", "10.9.8.1", "7"]
            echo = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
            assert echo.stdin is not None
            assert echo.stdout is not None
            echo.stdin.write(message)
            async with asyncio.timeout(60):
                assert await echo.stdout.readexactly(len(message)) == message
            echo.kill()
            await echo.wait()
            # The port's row may get lost while the guest runs; the next look mends it.
            switch.vsctl("del-port", vif.link_name(nic.port_id))
            await driver.ensure(guest, Power.RUNNING, 1)
            assert vif.link_name(nic.port_id) in switch.ports()
        await vif.unplug(other)
        await driver.destroy(guest.id, 1)
        assert switch.ports() == []
        assert switch.link(vif.link_name(nic.port_id)) is None

    @story
    async def test_nics_come_and_go_while_it_runs(self, rig: QemuRig) -> None:
        switch = rig.switch
        first, second, other = switch.new_nic(), switch.new_nic(), switch.new_nic()
        driver = await rig.start()
        words = f"{COMMAND_LINE} tiny.address=10.9.8.1/24"
        guest = await rig.new_guest(driver, nics=(first,), command_line=words)
        await driver.ensure(guest, Power.RUNNING, 1)
        boot = await rig.boot_of(guest.id)
        await rig.until_console(driver, guest.id, rig.ready_text)
        both = msgspec.structs.replace(guest, nics=(first, second))
        for _ in range(2):
            await driver.ensure(both, Power.RUNNING, 1)
        await rig.until_console(driver, guest.id, f"card eth1 {second.mac} {second.mtu}")
        # Another driver takes out the one that was there at the start.
        await driver.close()
        driver = await rig.start()
        last = msgspec.structs.replace(guest, nics=(second,))
        await driver.ensure(last, Power.RUNNING, 2)
        await rig.until_console(driver, guest.id, f"card gone {first.mac}")
        assert switch.ports() == [vif.link_name(second.port_id)]
        assert switch.link(vif.link_name(first.port_id)) is None
        with network_namespace() as home:
            await vif.plug_veth(other, home, "eth0")
            await run_tool("ip", "-n", home, "address", "add", "10.9.8.2/24", "dev", "eth0")
            command = ["ip", "netns", "exec", home, "busybox", "ping", "-c", "1", "-w", "60", "10.9.8.1"]
            await run_tool(*command)
        await vif.unplug(other)
        await driver.ensure(both, Power.RUNNING, 2)
        await rig.until_console(driver, guest.id, f"card eth0 {first.mac}", times=2)
        assert await rig.boot_of(guest.id) == boot
        await driver.destroy(guest.id, 2)
        assert switch.ports() == []

    @story
    async def test_the_card_of_a_guest_that_does_not_listen_is_cut_off(self, rig: QemuRig) -> None:
        """As one that has no system: it cannot let go of a card before it is started again."""
        switch = rig.switch
        driver = await rig.start()
        image = rig.new_image(b"\xfa\xf4".ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20), "raw")
        await driver.ensure_image(image, rig.open_image)
        guest = await rig.new_guest(driver, image=image, kernel=None, ramdisk=None, nics=(switch.new_nic(),))
        await driver.ensure(guest, Power.RUNNING, 1)
        without = msgspec.structs.replace(guest, nics=())
        await driver.ensure(without, Power.RUNNING, 1)
        assert switch.ports() == []
        with pytest.raises(HypervisorError, match="has not let go of the card"):
            await driver.ensure(guest, Power.RUNNING, 1)
        await driver.ensure(guest, Power.STOPPED, 1)
        await driver.ensure(guest, Power.RUNNING, 1)
        assert switch.ports() == [vif.link_name(guest.nics[0].port_id)]

    @story
    async def test_a_nic_survives_a_stop_and_goes_when_it_is_no_longer_asked_for(self, rig: QemuRig) -> None:
        switch = rig.switch
        driver = await rig.start()
        guest = await rig.new_guest(driver, nics=(switch.new_nic(), switch.new_nic()))
        names = [vif.link_name(nic.port_id) for nic in guest.nics]
        await driver.ensure(guest, Power.RUNNING, 1)
        await driver.ensure(guest, Power.STOPPED, 1)
        await driver.ensure(guest, Power.RUNNING, 1)
        assert sorted(switch.ports()) == sorted(names)
        await driver.reset(guest.id, 1)
        assert sorted(switch.ports()) == sorted(names)
        await driver.ensure(msgspec.structs.replace(guest, nics=guest.nics[:1]), Power.STOPPED, 1)
        assert switch.ports() == names[:1]
        assert switch.link(names[1]) is None


def test_the_log_takes_no_more_room_than_its_end(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    with open(log, "ab", buffering=0) as file:
        for number in range(100_000):
            file.write(f"line {number:06} {'x' * 20}\n".encode())
        console.trim(log)
        file.write(b"after\n")
    assert log.stat().st_blocks * 512 <= 2 * console.KEPT_BYTES
    lines = console.read_end(log).splitlines()
    assert lines[-1] == "after"
    first = int(lines[0].split()[1])
    assert [int(line.split()[1]) for line in lines[:-1]] == list(range(first, 100_000))


def test_kvm_is_probed_once(tmp_path: Path) -> None:
    works, reason = probe_kvm()
    assert reason
    memory = tmp_path / "kvm.json"
    assert remembered_probe(memory)[0] is works
    kept = msgspec.json.decode(memory.read_bytes())
    memory.write_bytes(msgspec.json.encode({**kept, "reason": "remembered"}))
    assert remembered_probe(memory) == (works, "remembered")
    memory.write_bytes(msgspec.json.encode({**kept, "about": "another host"}))
    assert remembered_probe(memory)[1] != "remembered"
