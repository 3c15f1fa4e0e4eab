"""A full Debian guest with the real cloud-init, installed by mmdebstrap."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from pileus.cli.image_build import disk
from pileus.cli.image_build.packages import ImageBuildError, PackageStore, Progress, run

SUITE = "bookworm"
ROOT_LABEL = "debian-root"
DISK_BYTES = 2 * 1024**3
COMMAND_LINE = f"root=LABEL={ROOT_LABEL} ro console=tty0 console=ttyS0"

PACKAGES = (
    "linux-image-cloud-amd64", "initramfs-tools", "systemd-sysv", "systemd-resolved", "systemd-timesyncd",
    "udev", "dbus", "cloud-init", "cloud-guest-utils", "netplan.io", "openssh-server", "sudo", "curl",
    "ca-certificates", "iproute2", "iputils-ping", "netbase", "e2fsprogs", "fdisk", "less", "nano",
)  # fmt: skip

FILES: dict[str, str] = {
    "/etc/fstab": (
        f"LABEL={ROOT_LABEL} / ext4 defaults,errors=remount-ro 0 1\n"
        "LABEL=BOOT /boot/firmware vfat defaults 0 2\n"
    ),
    "/etc/hostname": "debian\n",
    "/etc/initramfs-tools/conf.d/small": "COMPRESS=lz4\nMODULES=most\n",
    "/etc/cloud/cloud.cfg.d/90-pileus.cfg": (
        "datasource_list: [ConfigDrive, OpenStack, Ec2, None]\nlocale: C.UTF-8\n"
    ),
}
COPY_KERNEL = """#!/bin/sh
# The boot loaders read kernel and ramdisk from the first partition.
set -e
mountpoint -q /boot/firmware || exit 0
for part in vmlinuz initrd.img; do
    newest=$(ls -v /boot/$part-* | tail -n 1)
    cp "$newest" "/boot/firmware/${part%.img}.new"
    mv "/boot/firmware/${part%.img}.new" "/boot/firmware/${part%.img}"
done
"""


class DebianImage(msgspec.Struct, frozen=True, kw_only=True):
    """What `build_debian` makes."""

    disk: Path
    """qcow2; boots by BIOS and by UEFI."""


def build_debian(out_dir: Path, progress: Progress, *, cache_dir: Path | None = None) -> DebianImage:
    """Install a Debian with cloud-init into an image in `out_dir`.

    Must run as root. Raises ImageBuildError.
    """
    if os.geteuid() != 0:
        raise ImageBuildError(
            "building an image needs root, so that the guest's files belong to its root: use sudo"
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    image = DebianImage(disk=out_dir / "debian.qcow2")
    store = PackageStore(cache_dir or out_dir / "cache", progress)
    with tempfile.TemporaryDirectory(prefix=".debian-", dir=out_dir) as directory:
        work = Path(directory)
        root = work / "root"
        progress("installing Debian packages, some minutes")
        _install(store, root)
        _write_settings(root)
        run("chroot", root, "update-initramfs", "-u", "-k", "all")
        progress("writing the disk image")
        (kernel,) = (root / "boot").glob("vmlinuz-*")
        (ramdisk,) = (root / "boot").glob("initrd.img-*")
        disk.write_disk(
            work / "disk",
            root=root,
            label=ROOT_LABEL,
            entry=disk.BootEntry(kernel, ramdisk, COMMAND_LINE),
            disk_bytes=DISK_BYTES,
        )
        (work / "disk").replace(image.disk)
    return image


def _install(store: PackageStore, root: Path) -> None:
    sources = [line for line in store.sources() if f" {SUITE}" in line]
    if not sources:
        raise ImageBuildError(f"this host has no source of Debian {SUITE} packages; see /etc/apt")
    run(
        "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}",
        '--aptopt=APT::Install-Recommends "false"', '--dpkgopt=path-exclude=/usr/share/doc/*',
        "--dpkgopt=path-exclude=/usr/share/man/*", SUITE, root, *sources,
    )  # fmt: skip


def _write_settings(root: Path) -> None:
    for name, text in FILES.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "boot/firmware").mkdir()
    for hook in ("etc/kernel/postinst.d/zz-boot-partition", "etc/initramfs/post-update.d/boot-partition"):
        path = root / hook
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(COPY_KERNEL)
        path.chmod(0o755)
    # Made anew by each guest.
    (root / "etc/machine-id").write_text("uninitialized\n")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
