"""The parts of the containers' driver that need no host."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pileus.drivers.hypervisor.runc import cgroups, console, rootfs
from pileus.drivers.hypervisor.runc.record import name_nics
from pileus.services.compute.driver import Guest, HypervisorError, Image, Nic, Vif


def guest(*ports: str) -> Guest:
    nics = tuple(Nic(port_id=port, mac="fa:16:3e:00:00:01", mtu=1500, vif=Vif(type="sim")) for port in ports)
    image = Image(id="image", disk_format="rootfs", size_bytes=1)
    return Guest(id="one", hostname="one", vcpus=1, memory_mib=64, root_gib=1, image=image, nics=nics)


def program(root: Path, path: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o755)


class TestInit:
    @pytest.mark.parametrize(
        ("behind", "expected"),
        [
            ("lib/systemd/systemd", signal.SIGRTMIN + 3),
            ("bin/busybox", signal.SIGUSR2),
            ("lib/sysvinit/init", signal.SIGPWR),
        ],
    )
    def test_the_program_behind_the_link_tells_how_to_power_off(
        self, tmp_path: Path, behind: str, expected: int
    ) -> None:
        program(tmp_path, f"usr/{behind}")
        (tmp_path / "usr" / "sbin").mkdir()
        (tmp_path / "sbin").symlink_to("usr/sbin")
        (tmp_path / "lib").symlink_to("/usr/lib")
        (tmp_path / "bin").symlink_to("/usr/bin")
        (tmp_path / "sbin" / "init").symlink_to(f"/{behind}")
        assert rootfs.find_init(tmp_path) == rootfs.Init("/sbin/init", expected)

    def test_they_are_looked_for_in_the_kernels_order(self, tmp_path: Path) -> None:
        program(tmp_path, "bin/sh")
        assert rootfs.find_init(tmp_path).path == "/bin/sh"
        program(tmp_path, "etc/init")
        assert rootfs.find_init(tmp_path).path == "/etc/init"
        (tmp_path / "sbin").mkdir()
        (tmp_path / "sbin" / "init").touch(mode=0o644)
        assert rootfs.find_init(tmp_path).path == "/etc/init", "what cannot be run is no init"

    def test_none_at_all_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(
            HypervisorError, match="no init: none of /sbin/init, /etc/init, /bin/init, /bin/sh"
        ):
            rootfs.find_init(tmp_path)

    def test_a_link_never_leads_out(self, tmp_path: Path) -> None:
        root = tmp_path / "root"
        (root / "sbin").mkdir(parents=True)
        outside = tmp_path / "outside"
        outside.touch(mode=0o755)
        for number, target in enumerate((str(outside), "../../outside", "../../../../../.." + str(outside))):
            (root / "sbin" / f"init{number}").symlink_to(target)
            found = rootfs.resolve(root, f"/sbin/init{number}")
            assert found is None or found.is_relative_to(root)

    def test_links_in_a_circle_lead_nowhere(self, tmp_path: Path) -> None:
        (tmp_path / "a").symlink_to("b")
        (tmp_path / "b").symlink_to("a")
        assert rootfs.resolve(tmp_path, "/a") is None


class TestNicNames:
    def test_they_are_given_in_order(self) -> None:
        assert name_nics(guest("a", "b"), {}) == {"a": "eth0", "b": "eth1"}

    def test_who_stays_keeps_its_name_and_gaps_are_filled(self) -> None:
        assert name_nics(guest("b", "c", "d"), {"a": "eth0", "b": "eth1"}) == {
            "b": "eth1",
            "c": "eth0",
            "d": "eth2",
        }


class TestConsole:
    def test_parts_and_lines_become_what_was_written(self) -> None:
        time = "2026-01-02T03:04:05.678+00:00 stdout"
        log = f"{time} F first\n{time} P sec\n{time} P ond \n{time} F line\r\n{time} F \n{time} P login: "
        assert console.text_of(log.encode()) == "first\nsecond line\r\n\nlogin: "

    def test_bytes_that_are_no_text_are_shown_as_such(self) -> None:
        assert console.text_of(b"T stdout F \xff\xfe\n") == "\ufffd\ufffd\n"


class TestCgroups:
    V1 = """\
33 24 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
34 24 0:29 / /sys/fs/cgroup/pids rw,relatime shared:9 - cgroup cgroup rw,pids
24 1 0:20 / / rw - ext4 /dev/vda rw
"""
    V2 = "42 32 0:39 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"

    def test_v1_v2_and_both(self) -> None:
        v1, v2 = cgroups.hierarchies(self.V1), cgroups.hierarchies(self.V2)
        both = cgroups.hierarchies(self.V1 + self.V2)
        assert [path.name for path in both.mounts] == ["memory", "pids", "unified"]
        assert (v1.unified, v2.unified, both.unified) == (False, True, False)
        assert v2.swap_accounting

    def test_what_a_guest_made_below_goes_too(self, tmp_path: Path) -> None:
        for name in ("a/b/c", "a/d"):
            os.makedirs(tmp_path / name)
        assert cgroups.remove([tmp_path / "a", tmp_path / "absent"])
        assert not (tmp_path / "a").exists()
