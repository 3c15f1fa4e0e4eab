"""What a cloud needs of its host, looked at one by one. Nothing here leaves a trace."""

from __future__ import annotations

import importlib.resources
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pileus.app import drivers, services
from pileus.app.settings import Settings
from pileus.cli.composition import Finding
from pileus.cli.process import find

GIB = 2**30
ROOM_GIB = 5
MEMORY_MIB = 1024
NETWORK = {
    "ovn-central": "ovn-northd",
    "ovn-host": "ovn-controller",
    "openvswitch-switch": "ovs-vswitchd",
    "iproute2": "ip",
}
GUESTS = {
    "qemu": {
        "qemu-system-x86": "qemu-system-x86_64",
        "qemu-utils": "qemu-img",
        "genisoimage": "genisoimage",
    },
    "runc": {"runc": "runc", "conmon": "conmon"},
}
"""By way of running guests: Debian package to the program that must be found."""


def examine(settings: Settings, state: Path) -> list[Finding]:
    """Every prerequisite of what the settings ask for, the fundamental ones first."""
    parts = [_python, _port]
    if services.needs_host(settings):
        parts = [_python, _root, _programs, _namespaces, _kvm, _room, _port]
    return [finding for part in parts for finding in part(settings, state)]


class HostLacks(Exception):
    """This host can't carry a real cloud; the message says what is missing, and what helps."""


def require_host(settings: Settings, state: Path) -> None:
    """What is found at a glance: root, and the programs. Raises HostLacks."""
    for finding in _root(settings, state):
        if not finding.ok:
            raise HostLacks("a real cloud needs root: sudo pileus up. `pileus up --sim` does not")
    missing = [finding.name for finding in _programs(settings, state) if not finding.ok]
    if missing:
        raise HostLacks(
            f"programs are missing: {', '.join(missing)}. `pileus doctor` says which packages have them, "
            "and looks at all else that a real cloud needs; `pileus up --sim` needs none of it"
        )


def _python(settings: Settings, state: Path) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")


def _root(settings: Settings, state: Path) -> Iterator[Finding]:
    is_root = os.geteuid() == 0
    yield Finding("root", is_root, "yes" if is_root else f"no, user {os.geteuid()}", "run it with sudo")


def _programs(settings: Settings, state: Path) -> Iterator[Finding]:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    table = importlib.resources.files("pileus.cli").joinpath("packages.tsv").read_text()
    purpose = {name: why for group, name, why in (line.split("\t") for line in table.splitlines())}
    wanted = dict(NETWORK)
    for kind in drivers.chosen(settings):
        wanted |= GUESTS.get(kind, {})
    for package, program in wanted.items():
        where = shutil.which(program, path=path)
        yield Finding(
            program, where is not None, f"{where or 'missing'}: {purpose[package]}", f"apt install {package}"
        )


def _namespaces(settings: Settings, state: Path) -> Iterator[Finding]:
    done = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True)
    said = "network and mount namespaces can be made" if done.returncode == 0 else done.stderr.strip()
    yield Finding(
        "namespaces",
        done.returncode == 0,
        said,
        "run it as root, outside of a container that forbids them (CAP_SYS_ADMIN)",
    )
    tun = Path("/dev/net/tun").exists()
    yield Finding("/dev/net/tun", tun, "there" if tun else "missing: guests have no network", "modprobe tun")
    if "runc" in drivers.chosen(settings):
        yield _overlay()


def _overlay() -> Finding:
    text = Path("/proc/filesystems").read_text()
    overlay = "overlay" in text or Path("/sys/module/overlay").exists()
    return Finding(
        "overlayfs",
        overlay,
        "there" if overlay else "missing: containers share no layers",
        "modprobe overlay",
    )


def _kvm(settings: Settings, state: Path) -> Iterator[Finding]:
    if "qemu" not in drivers.chosen(settings):
        return
    from pileus.drivers.hypervisor.qemu.kvm import probe_kvm

    works, reason = probe_kvm()
    if not works:
        reason += " Machines are emulated: slower, otherwise the same."
    remedy = "enable virtualization in the firmware; in a virtual machine, nested virtualization on its host"
    yield Finding("KVM", works, reason, remedy, needed=False)


def _room(settings: Settings, state: Path) -> Iterator[Finding]:
    there = state
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    yield Finding(
        "disk",
        free > ROOM_GIB * GIB,
        f"{free / GIB:.0f} GiB free at {there}",
        f"free {ROOM_GIB} GiB, or use --state DIR",
    )
    available = next(
        int(line.split()[1]) // 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable")
    )
    yield Finding("memory", available > MEMORY_MIB, f"{available} MiB available", f"free {MEMORY_MIB} MiB")


def _port(settings: Settings, state: Path) -> Iterator[Finding]:
    running = find(state)
    if running is not None:
        yield Finding("port", True, f"this cloud is up, at {running.base_url} (process {running.pid})")
        return
    host, port = settings.address
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            yield Finding(
                f"port {port}",
                False,
                f"{host}:{port}: {error.strerror}",
                "use another: pileus up --listen ADDR:PORT",
            )
            return
    yield Finding(f"port {port}", True, f"{host}:{port} is free")
