"""The directory that a container runs from (an OCI bundle): namespaces, mounts, configuration.

    user, net       the guest's namespaces, kept
    lower           the image's root filesystem, shared by its guests, owners shifted into the guest's range
    disk            the guest's own file system: `upper`, what it changed, and `work`, which overlayfs needs
    rootfs          the two together
    config-drive    files for `/config-drive`

Beside them lies what runc and conmon write. All of it is made anew at each start.
"""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import shutil
from pathlib import Path
from typing import Any

from pileus.drivers.hypervisor.runc import disk, mounts, namespaces, rootfs
from pileus.drivers.hypervisor.runc.container import Container, Runtime
from pileus.drivers.hypervisor.runc.record import Record
from pileus.lib import id_ranges
from pileus.lib.oci_config import Container as Configuration
from pileus.lib.oci_config import Limits, oci_config

CONFIG_DRIVE = "/config-drive"
"""Where a guest finds its config drive: one of the directories that cloud-init's ConfigDrive looks in."""

_OPEN_FILES = 524288
"""What systemd allows a service at most."""

_LEAST_DISK_BYTES = 1 << 30


def open_directory(directory: Path, first_id: int) -> None:
    """Make the bundle and the guest's namespaces in it."""
    directory.mkdir(parents=True)
    # The guest's root must be able to pass, but nobody else: its files may be setuid.
    os.chown(directory, 0, first_id)
    directory.chmod(0o710)
    namespaces.make(directory, first_id, id_ranges.LENGTH)


def mount(directory: Path, record: Record, image_root: Path, disk_file: Path) -> None:
    """Have the guest's root filesystem at `rootfs`, and its config drive's files."""
    lower, own, root = (directory / name for name in ("lower", "disk", "rootfs"))
    for path in (lower, own, root):
        path.mkdir()
    mounts.bind_with_ids(image_root, lower, directory / namespaces.USER)
    disk.ensure(disk_file, record.guest.root_gib << 30 or _LEAST_DISK_BYTES)
    disk.mount(disk_file, own)
    upper, work = own / "upper", own / "work"
    work.mkdir(exist_ok=True)
    if not upper.exists():
        upper.mkdir(mode=0o755)
        os.chown(upper, record.first_id, record.first_id)
    mounts.overlay(lower, upper, work, root)
    if record.guest.config_drive is not None:
        drive = directory / "config-drive"
        _write_config_drive(drive, record.guest.config_drive, record.first_id)
        _show_config_drive(drive, root / CONFIG_DRIVE[1:], record.first_id)


def configuration(directory: Path, record: Record, runtime: Runtime, init: rootfs.Init) -> dict[str, Any]:
    guest = record.guest
    return oci_config(
        Configuration(
            hostname=guest.hostname,
            init=(init.path,),
            root=str(directory / "rootfs"),
            first_id=record.first_id,
            id_count=id_ranges.LENGTH,
            user_namespace=str(directory / namespaces.USER),
            network_namespace=str(directory / namespaces.NETWORK),
            cgroup=Container(runtime, guest.id).cgroup,
            limits=Limits(
                vcpus=guest.vcpus,
                memory_mib=guest.memory_mib,
                pids=runtime.pids_limit,
                open_files=min(_OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
            ),
            machine=platform.machine(),
            unified_cgroups=runtime.hierarchies.unified,
            swap_accounting=runtime.hierarchies.swap_accounting,
        )
    )


def close_directory(directory: Path) -> None:
    """Undo all of it. Nothing may run from it any more."""
    mounts.unmount(directory / "rootfs" / CONFIG_DRIVE[1:])
    for name in ("rootfs", "disk", "lower"):
        mounts.unmount(directory / name)
        # Not rmtree: were anything still mounted there, it would be deleted with all its files.
        with contextlib.suppress(FileNotFoundError):
            (directory / name).rmdir()
    namespaces.release(directory)
    shutil.rmtree(directory)


def _write_config_drive(directory: Path, files: dict[str, bytes], owner: int) -> None:
    directory.mkdir(mode=0o700)
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for root, _, names in os.walk(directory):
        os.chown(root, owner, owner)
        os.chmod(root, 0o500)
        for name in names:
            os.chown(Path(root, name), owner, owner)
            os.chmod(Path(root, name), 0o400)


def _show_config_drive(drive: Path, place: Path, owner: int) -> None:
    """Not left to runc, which looks for it elsewhere where the host itself is in a chroot."""
    # What the guest may have put there must not lead out of its root.
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        place.unlink()
    place.mkdir(exist_ok=True)
    os.chown(place, owner, owner)
    mounts.bind_read_only(drive, place)
