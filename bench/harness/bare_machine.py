"""The floor of virtual machines: the same image under QEMU alone, on a bridge with DHCP and metadata."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

from tests.e2e.micro_guest import Key, Machine, eventually, instance_files, network, write_files

from harness.guests import Taken, seconds_waited, until_ssh
from pileus.drivers import netns


def boot(directory: Path, image: Path) -> Taken:
    """From the making of its disk until its SSH answers. Uses and empties the directory."""
    directory = directory / "bare"
    directory.mkdir()
    try:
        with network() as net:
            key = Key(directory)
            machine = Machine(net, key, 1, directory, image)
            machine.board = "q35,hpet=off,vmport=off,sata=off,smbus=off"
            write_files(net.metadata, instance_files(machine.uuid, "bare", key))
            began = time.perf_counter()
            try:
                machine.make_disk("1G")
                machine.start()
                address = eventually(lambda: net.address_of(machine.mac), 60, "a lease")
                ssh = _ssh_inside(net.name, address) - began
                return Taken(active=0.0, ssh=ssh, waited=seconds_waited(machine.pid))
            finally:
                machine.close()
    finally:
        shutil.rmtree(directory)


def _ssh_inside(namespace: str, address: str) -> float:
    found: list[float] = []

    def look() -> None:
        netns.enter(namespace)
        found.append(until_ssh(address))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    if not found:
        raise SystemExit("the bare machine did not answer")
    return found[0]
