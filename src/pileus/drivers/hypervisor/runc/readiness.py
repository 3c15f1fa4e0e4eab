"""What this host can do for containers, and whether it can run them at all."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from pileus.drivers.hypervisor.host import memory_mib, version_number
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


class CannotShiftOwners(HypervisorError):
    """The images lie on a file system that has no mounts with shifted ids."""


def check(run_dir: Path, images: Path) -> None:
    """Find out by doing whether containers can run: from bundles in `run_dir`, with root filesystems of
    `images`. Raises `HypervisorError` with the cause and the way out: `CannotShiftOwners` for `images`."""
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
    with (
        tempfile.TemporaryDirectory(dir=run_dir, prefix="probe-") as place,
        # Ending as what an image cache sweeps out, should this process be killed here.
        tempfile.TemporaryDirectory(dir=images, prefix="probe-", suffix=".part") as image,
    ):
        _try_mounts(Path(place), Path(image))


def _try_mounts(place: Path, image: Path) -> None:
    for part in ("lower", "upper", "work", "root"):
        (place / part).mkdir()
    try:
        namespaces.make(place, id_ranges.FIRST, id_ranges.LENGTH)
        try:
            mounts.bind_with_ids(image, place / "lower", place / namespaces.USER)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise CannotShiftOwners(_cannot_mount(error, image)) from error
            raise
        mounts.overlay(place / "lower", place / "upper", place / "work", place / "root")
    except OSError as error:
        raise HypervisorError(_cannot_mount(error, image)) from error
    finally:
        for part in ("root", "lower"):
            mounts.unmount(place / part)
        namespaces.release(place)


def _cannot_mount(error: OSError, image: Path) -> str:
    return (
        f"This host's kernel cannot mount a container's root filesystem ({error}). Needed are user "
        "namespaces, and overlayfs over mounts with shifted ids: Linux 5.19 or newer, and a file system "
        f"under {image.parent} that can shift them, such as ext4, xfs or btrfs."
    )


def capabilities(state_dir: Path) -> Capabilities:
    words = subprocess.run(["runc", "--version"], check=True, capture_output=True, text=True).stdout
    return Capabilities(
        hypervisor_type="runc",
        hypervisor_version=version_number(words),
        vcpus=os.cpu_count() or 1,
        memory_mib=memory_mib(),
        disk_gib=shutil.disk_usage(state_dir).total >> 30,
        disk_formats=(rootfs.DISK_FORMAT,),
        cpu_info={"arch": platform.machine()},
    )
