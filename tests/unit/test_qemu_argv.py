"""QEMU's command line, whole, as golden files: the diff shows what changes for every guest.

`PILEUS_WRITE_GOLDEN=1` writes them anew.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from pileus.lib.qemu_argv import (
    BINARY,
    OFFLOADS,
    DirectKernel,
    Disk,
    Machine,
    NetworkCard,
    UefiFirmware,
    argv,
)
from pileus.testing.golden import assert_golden

GOLDEN = Path(__file__).with_name("golden_qemu_argv")

PORTS = tuple(f"{number:08x}-6a35-4d5c-8d0a-1b1f9a0f4c11" for number in range(3))

PLAIN = Machine(
    uuid="0f2a4f7e-6a35-4d5c-8d0a-1b1f9a0f4c11",
    vcpus=2,
    memory_mib=512,
    accelerated=False,
    disks=(Disk(path="disk.qcow2", format="qcow2"),),
    monitor_fd=7,
    pidfile="qemu.pid",
    console_socket="console.sock",
    console_log="console.log",
    vnc_socket="vnc.sock",
)

MACHINES = {
    "plain": PLAIN,
    "full": msgspec.structs.replace(
        PLAIN,
        accelerated=True,
        run_as=1_900_000_000,
        disks=(*PLAIN.disks, Disk(path="config-2.iso", format="raw", read_only=True)),
        cards=(
            NetworkCard(port_id=PORTS[0], mac="fa:16:3e:00:00:01", mtu=1442, tap_fd=8, offloads=False),
            NetworkCard(port_id=PORTS[1], mac="fa:16:3e:00:00:02", mtu=1500, tap_fd=9),
            NetworkCard(port_id=PORTS[2], mac="fa:16:3e:00:00:03", mtu=1500),
        ),
    ),
    "uefi": msgspec.structs.replace(
        PLAIN, uefi=UefiFirmware(code="/firmware/code.fd", variables="variables.fd")
    ),
    "kernel": msgspec.structs.replace(
        PLAIN, kernel=DirectKernel(path="/images/k", ramdisk="/images/r", command_line="console=ttyS0 quiet")
    ),
}


@pytest.mark.parametrize("name", MACHINES)
def test_golden(name: str) -> None:
    text = "\n".join(argv(MACHINES[name])) + "\n"
    assert_golden(GOLDEN / f"{name}.txt", text)


def test_paths_with_commas_stay_whole() -> None:
    words = argv(msgspec.structs.replace(PLAIN, console_log="a,b.log", vnc_socket="v,w.sock"))
    assert any(word.endswith("logfile=a,,b.log,logappend=on") for word in words)
    assert "unix:v,,w.sock" in words


@pytest.mark.host
def test_every_offload_that_qemu_has_is_turned_off() -> None:
    help_text = subprocess.run(
        [BINARY, "-device", "virtio-net-pci,help"], capture_output=True, text=True, check=True
    ).stdout
    known = {line.split("=")[0].strip() for line in help_text.splitlines()}
    offloads = {name for name in known if name.startswith(("guest_", "host_")) or name in ("csum", "gso")}
    offloads -= {"host_mtu", "guest_announce", "guest_rsc_ext"}
    assert set(OFFLOADS) == offloads
