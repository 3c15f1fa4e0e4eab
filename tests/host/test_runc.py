"""Containers as servers: what is promised of them beyond the contract."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pileus.services.compute.driver import GuestState, HypervisorError, Power
from pileus.testing.contract.story import story
from pileus.testing.waiting import until

from .runc_rig import RuncRig, runc_rig
from .system_call import system_call

_KEYCTL, _KEYCTL_I386, _SOCKET = 250, 288, 41

pytestmark = [pytest.mark.host, pytest.mark.timeout(300)]


@pytest.fixture
def rig() -> Iterator[RuncRig]:
    with runc_rig() as rig:
        yield rig


class TestLife:
    @story
    async def test_power_off_from_inside_is_a_clean_stop(self, rig: RuncRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        await rig.order(guest.id, "poweroff -f")
        state = await rig.until_power(driver, guest.id, Power.STOPPED)
        assert state.reason == "The guest powered off."

    @story
    async def test_reboot_from_inside_starts_it_again_with_its_data(self, rig: RuncRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        await rig.until_console(driver, guest.id, rig.ready_text)
        first = rig.init_pid(guest.id)
        await rig.order(guest.id, "reboot -f")
        await rig.until_console(driver, guest.id, rig.ready_text, times=2)
        assert rig.init_pid(guest.id) != first
        assert await driver.observe(guest.id) == GuestState(id=guest.id, power=Power.RUNNING)
        assert await rig.tell(guest.id, "cat /root/boots") == "boot\nboot\nstatus 0\n"

    @story
    async def test_a_reboot_while_nobody_looked_is_made_up_for(self, rig: RuncRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        await driver.close()
        await rig.order(guest.id, "reboot -f")
        exit_file = rig.bundle(guest.id) / "exit"
        await until(exit_file.exists, rig.boot_seconds)
        successor = await rig.start()
        await rig.until_console(successor, guest.id, rig.ready_text, times=2)

    @story
    async def test_data_outlives_a_restart_of_the_host(self, rig: RuncRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        await rig.tell(guest.id, "echo kept > /root/data")
        await driver.close()
        await rig.restart_host(guest.id)
        driver = await rig.start()
        assert await driver.observe(guest.id) == GuestState(
            id=guest.id, power=Power.STOPPED, reason="The host was restarted."
        )
        await driver.ensure(guest, Power.RUNNING, 1)
        assert await rig.tell(guest.id, "cat /root/data") == "kept\nstatus 0\n"

    @story
    async def test_the_console_goes_on_without_pileus_and_stays_bounded(self, rig: RuncRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        await driver.close()
        await rig.tell(
            guest.id, "yes 'a line of forty-two characters, no more.' | head -c 9000000 > /dev/console"
        )
        await rig.tell(guest.id, "echo the very end > /dev/console")
        driver = await rig.start()
        await rig.until_console(driver, guest.id, "the very end")
        assert rig.console_log(guest.id).stat().st_size <= (4 << 20) + 65536

    @story
    async def test_a_monitor_that_is_killed_does_not_take_the_guest_along(self, rig: RuncRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        rig.kill(rig.monitor_pid(guest.id))
        await rig.crash(guest.id)
        state = await rig.until_power(driver, guest.id, Power.CRASHED)
        assert state.reason
        assert (await driver.ensure(guest, Power.RUNNING, 1)).power is Power.RUNNING

    @pytest.mark.slow
    @story
    async def test_killed_at_any_moment_the_next_process_converges(self, rig: RuncRig) -> None:
        driver = await rig.start()
        for milliseconds in (2, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 90, 100, 130):
            guest = await rig.new_guest(driver, config_drive={"openstack/latest/meta_data.json": b"{}"})
            await rig.begin_and_be_killed(guest, milliseconds / 1000)
            driver = await rig.start()
            if milliseconds % 20 == 0:
                assert (await driver.ensure(guest, Power.RUNNING, 2)).power is Power.RUNNING
                await rig.until_console(driver, guest.id, rig.ready_text)
            await driver.destroy(guest.id, 2)
            assert rig.traces(guest.id) == [], f"killed after {milliseconds} ms"


class TestConfinement:
    @story
    async def test_root_inside_is_nobody_outside_and_not_its_neighbour(self, rig: RuncRig) -> None:
        driver = await rig.start()
        owners = set()
        for _ in range(2):
            guest = await rig.new_guest(driver)
            await driver.ensure(guest, Power.RUNNING, 1)
            assert await rig.tell(guest.id, "id -u; touch /root/mine") == "0\nstatus 0\n"
            status = rig.process_status(guest.id)
            uid, gid = (_field(status, name).split()[0] for name in ("Uid", "Gid"))
            mine = (rig.bundle(guest.id) / "rootfs" / "root" / "mine").stat()
            assert (int(uid), int(gid)) == (mine.st_uid, mine.st_gid)
            owners.add(mine.st_uid)
        assert len(owners) == 2
        assert all(owner >= 1 << 30 and owner % 65536 == 0 for owner in owners)

    @story
    async def test_the_image_stays_as_it_was(self, rig: RuncRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        assert await rig.tell(guest.id, "echo changed > /etc/rc; rm /etc/inittab") == "status 0\n"
        base = rig.directory / "state" / "images" / guest.image.id
        assert "changed" not in (base / "etc" / "rc").read_text()
        assert (base / "etc" / "inittab").stat().st_uid == 0

    @story
    async def test_nothing_of_the_host_is_in_reach(self, rig: RuncRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        secret = rig.directory / "secret"
        secret.write_text("of the host")
        for script in (
            f"cat {secret}",
            f"cat /proc/1/root/{secret}",
            "mknod /root/disk b 254 0 && cat /root/disk",
            "echo 1 > /proc/sys/kernel/panic",
            "echo b > /proc/sysrq-trigger",
            "echo 1 > /sys/fs/cgroup/pids/pids.max",
            "mount -t cgroup -o memory memory /tmp && echo 99999999999 > /tmp/memory.limit_in_bytes",
            "dmesg",
            "date -s 2001-01-01; date | grep -q 2001$",
            "cat /proc/kcore | head -c 10 | grep -q .",
            "mount -o remount,rw /sys",
        ):
            answer = await rig.tell(guest.id, script)
            assert "of the host" not in answer
            assert not answer.endswith("status 0\n"), f"{script}: {answer}"
        processes = await rig.tell(guest.id, "ls -d /proc/[0-9]* | wc -l")
        assert int(processes.split()[0]) < 10

    @story
    async def test_the_system_call_filter_is_in_force(self, rig: RuncRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        status = rig.process_status(guest.id)
        assert _field(status, "Seccomp") == "2"
        for program, answer in (
            (system_call(_KEYCTL), errno.ENOSYS),
            (system_call(_KEYCTL_I386, legacy=True), errno.ENOSYS),
            (system_call(_SOCKET, socket.AF_ALG, socket.SOCK_SEQPACKET), errno.EPERM),
            (system_call(_SOCKET, 1 << 32 | socket.AF_ALG, socket.SOCK_SEQPACKET), errno.EPERM),
            (system_call(_SOCKET, socket.AF_UNIX, 0), errno.ESOCKTNOSUPPORT),
        ):
            await asyncio.to_thread(rig.put_program, guest.id, program)
            assert await rig.tell(guest.id, "/root/program") == f"status {answer}\n"
        held = int(_field(status, "CapBnd"), 16)
        assert held & 1 << 16 == 0, "CAP_SYS_MODULE"
        assert held & 1 << 25 == 0, "CAP_SYS_TIME"
        assert held & 1 << 12, "CAP_NET_ADMIN"

    @story
    async def test_the_network_is_the_guests_own_to_set_up(self, rig: RuncRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        answer = await rig.tell(
            guest.id,
            "ip address add 10.1.2.3/24 dev lo && echo 1 > /proc/sys/net/ipv4/ip_forward"
            "&& hostname other && hostname",
        )
        assert answer == "other\nstatus 0\n"

    @story
    async def test_the_config_drive_is_there_to_read_and_not_to_write(self, rig: RuncRig) -> None:
        driver = await rig.start()
        drive = {"openstack/latest/meta_data.json": b'{"a": 1}', "openstack/latest/user_data": b"\x00\xff"}
        guest = await rig.new_guest(driver, config_drive=drive)
        await driver.ensure(guest, Power.RUNNING, 1)
        where = "/config-drive/openstack/latest"
        assert await rig.tell(guest.id, f"cat {where}/meta_data.json; wc -c < {where}/user_data") == (
            '{"a": 1}2\nstatus 0\n'
        )
        assert "Read-only" in await rig.tell(guest.id, f"echo > {where}/user_data")
        assert "status 0" not in await rig.tell(guest.id, "mount -o remount,rw /config-drive")
        assert "status 0" not in await rig.tell(guest.id, "umount /config-drive")

    @story
    async def test_a_link_where_the_config_drive_belongs_leads_nowhere(self, rig: RuncRig) -> None:
        driver = await rig.start()
        bare = await rig.new_guest(driver)
        await driver.ensure(bare, Power.RUNNING, 1)
        outside = rig.directory / "outside"
        outside.mkdir(mode=0o755)
        await rig.tell(bare.id, f"ln -s {outside} /config-drive")
        await driver.ensure(bare, Power.STOPPED, 2)
        guest = msgspec.structs.replace(bare, config_drive={"meta_data.json": b"{}"})
        await driver.ensure(guest, Power.RUNNING, 3)
        assert await rig.tell(guest.id, "ls /config-drive") == "meta_data.json\nstatus 0\n"
        await driver.destroy(guest.id, 4)
        assert rig.traces(guest.id) == []


class TestLimits:
    @story
    async def test_memory(self, rig: RuncRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver, memory_mib=64)
        await driver.ensure(guest, Power.RUNNING, 1)
        assert (await rig.tell(guest.id, "head -c 20m /dev/zero | tail | wc -c")).startswith("20971520\n")
        answer = await rig.tell(guest.id, "head -c 100m /dev/zero | tail | wc -c")
        assert answer.startswith("0\n"), f"what asked for 100 MiB went on: {answer}"
        assert await driver.observe(guest.id) == GuestState(id=guest.id, power=Power.RUNNING)
        await rig.crash(guest.id)
        state = await rig.until_power(driver, guest.id, Power.CRASHED)
        assert state.reason == "The guest's init was killed; it had run out of its 64 MiB of memory."

    @story
    async def test_processes(self, rig: RuncRig) -> None:
        rig.pids_limit = 50
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        await rig.order(guest.id, "while :; do sleep 60 & done")

        async def refused() -> bool:
            (events,) = rig.cgroup_values(guest.id, "pids.events")
            return int(events.split()[1]) > 0

        await until(refused, rig.boot_seconds)
        (current,) = rig.cgroup_values(guest.id, "pids.current")
        assert int(current) <= 50

    @story
    async def test_processors(self, rig: RuncRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver, vcpus=2)
        await driver.ensure(guest, Power.RUNNING, 1)
        (quota,) = rig.cgroup_values(guest.id, "cpu.cfs_quota_us", "cpu.max")
        assert quota.split()[0] == "200000"

    @story
    async def test_disk(self, rig: RuncRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver, root_gib=1)
        await driver.ensure(guest, Power.RUNNING, 1)
        answer = await rig.tell(guest.id, "dd if=/dev/zero of=/root/big bs=1M count=1200 && echo all of it")
        assert "No space left" in answer
        assert "all of it" not in answer
        assert await rig.tell(guest.id, "rm /root/big; echo fits > /root/small") == "status 0\n"


class TestHostsThatAreGuests:
    """A host may be a container or a live system itself."""

    @story
    async def test_images_on_a_file_system_that_cannot_shift_owners(self, rig: RuncRig) -> None:
        with _overlay(rig.directory, "state"):
            driver = await rig.start()
            guest = await rig.new_guest(driver)
            await driver.ensure(guest, Power.RUNNING, 1)
            await rig.until_console(driver, guest.id, rig.ready_text)
            await driver.halt(5)
            assert not _mounted_below(rig.directory / "state")
            await driver.close()
            # The next start finds the same images.
            driver = await rig.start()
            await driver.ensure(guest, Power.RUNNING, 2)
            await rig.until_console(driver, guest.id, rig.ready_text, times=2)
            await driver.destroy(guest.id, 3)
            await driver.halt(0)

    def test_a_host_in_a_chroot(self, tmp_path: Path) -> None:
        # A root of its own, with the same directories.
        program = (
            "import os, sys; sys.path[:] = sys.argv[1].split(':'); from pathlib import Path;"
            "from pileus.drivers.hypervisor.runc import namespaces as n;"
            "from pileus.lib import id_ranges as r;"
            "place = Path(sys.argv[2]); n.make(place, r.FIRST, r.LENGTH);"
            "print(os.stat(place / n.USER).st_ino != os.stat('/proc/self/ns/user').st_ino); n.release(place)"
        )
        root = tmp_path / "root"
        root.mkdir()
        (place := tmp_path / "place").mkdir()
        script = 'mount --rbind / "$1"; exec chroot "$@"'
        words = ["unshare", "--mount", "sh", "-ec", script, "sh", root, sys.executable, "-c", program]
        done = subprocess.run([*words, ":".join(sys.path), place], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("True\n", "")


@contextlib.contextmanager
def _overlay(directory: Path, name: str) -> Iterator[None]:
    parts = {part: directory / part for part in ("lower", "upper", "work", name)}
    for path in parts.values():
        path.mkdir()
    options = ",".join(f"{part}dir={parts[part]}" for part in ("lower", "upper", "work"))
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, parts[name]], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--recursive", parts[name]], check=True)


def _mounted_below(directory: Path) -> bool:
    return f"{directory}/" in Path("/proc/mounts").read_text()


class TestRefusals:
    @story
    async def test_an_image_without_init(self, rig: RuncRig) -> None:
        driver = await rig.start()
        rig.tarball = _empty_tarball()
        guest = await rig.new_guest(driver)
        with pytest.raises(HypervisorError, match="no init: none of /sbin/init"):
            await driver.ensure(guest, Power.RUNNING, 1)
        await driver.destroy(guest.id, 1)
        assert rig.traces(guest.id) == []

    @story
    async def test_a_directory_that_guests_cannot_pass(self, rig: RuncRig) -> None:
        rig.directory.chmod(0o700)
        with pytest.raises(HypervisorError, match=f"chmod o\\+x {rig.directory}"):
            await rig.new_driver().start()


def _empty_tarball() -> bytes:
    return b"\0" * 10240


def _field(status: str, name: str) -> str:
    return next(line.split(":", 1)[1].strip() for line in status.splitlines() if line.startswith(f"{name}:"))
