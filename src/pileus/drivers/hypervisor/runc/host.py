"""What this host can do for containers, and whether it can run them at all."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from pileus.drivers.hypervisor.runc import mounts, namespaces, rootfs
from pileus.lib import id_ranges
from pileus.services.compute.driver import Capabilities, HypervisorError

PROGRAMS = {
    "runc": "runc",
    "conmon": "conmon",
    "unshare": "util-linux",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
}
"""What is run, and the Debian package that has it."""


def check(run_dir: Path) -> None:
    """Find out by doing whether containers can run. Raises `HypervisorError`: the cause and the way out."""
    if os.geteuid() != 0:
        raise HypervisorError("Containers need root: start Pileus as root.")
    missing = sorted(package for program, package in PROGRAMS.items() if shutil.which(program) is None)
    if missing:
        raise HypervisorError(f"Containers need programs that are not here: apt install {' '.join(missing)}.")
    for directory in (run_dir, *run_dir.parents):
        if not directory.stat().st_mode & 0o001:
            raise HypervisorError(
                f"Guests' users cannot pass through {directory}, which leads to the containers' directory "
                f"{run_dir}: chmod o+x {directory}, or choose a directory under /run."
            )
    _try_mounts(run_dir)


def _try_mounts(run_dir: Path) -> None:
    with tempfile.TemporaryDirectory(dir=run_dir, prefix="probe-") as name:
        place = Path(name)
        for part in ("image", "lower", "upper", "work", "root"):
            (place / part).mkdir()
        try:
            namespaces.make(place, id_ranges.FIRST, id_ranges.LENGTH)
            mounts.bind_with_ids(place / "image", place / "lower", place / namespaces.USER)
            mounts.overlay(place / "lower", place / "upper", place / "work", place / "root")
        except OSError as error:
            raise HypervisorError(
                f"This host's kernel cannot mount a container's root filesystem ({error}). Needed are user "
                "namespaces, and overlayfs over mounts with shifted ids: Linux 5.19 or newer, and a file "
                "system that can shift them, such as ext4, xfs or btrfs."
            ) from error
        finally:
            for part in ("root", "lower"):
                mounts.unmount(place / part)
            namespaces.release(place)


def capabilities(state_dir: Path) -> Capabilities:
    return Capabilities(
        hypervisor_type="runc",
        hypervisor_version=_version(),
        vcpus=os.cpu_count() or 1,
        memory_mib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        disk_gib=shutil.disk_usage(state_dir).total >> 30,
        disk_formats=(rootfs.DISK_FORMAT,),
        cpu_info={"arch": platform.machine()},
    )


def _version() -> int:
    """As `hypervisor_version` of upstream's API: 1.1.5 is 1001005."""
    output = subprocess.run(["runc", "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", output)
    if found is None:
        raise HypervisorError(f"runc does not tell its version: {output!r}.")
    major, minor, patch = (int(number) for number in found.groups())
    return major * 1_000_000 + minor * 1_000 + patch
