"""The micro guest: a bootable disk, the same as kernel and ramdisk, and a root file system for containers."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec

from pileus.cli.image_build import disk, modules, userland
from pileus.cli.image_build.packages import ImageBuildError, PackageStore, Progress, run

ROOT_LABEL = "micro-root"
COMMAND_LINE = "console=tty0 console=ttyS0 quiet cryptomgr.notests"
"""The kernel's command line; its self-tests of ciphers alone take a fifth of a second in an emulated guest."""
BIOS_COMMAND_LINE = f"{COMMAND_LINE} acpi=noirq"
"""Asking ACPI for the interrupt of each PCI slot takes a tenth of a second a slot on QEMU's `pc` board, when
emulated; a BIOS has an MP table that says the same. UEFI has none."""


class MicroImage(msgspec.Struct, frozen=True, kw_only=True):
    """What `build_micro` makes."""

    disk: Path
    """qcow2; boots by BIOS and by UEFI."""
    kernel: Path
    ramdisk: Path
    """Takes the root from a disk made from `disk` if there is one, else runs on its own."""
    rootfs: Path
    """The same userland as a tarball, without kernel modules, for containers."""


def build_micro(out_dir: Path, progress: Progress, *, cache_dir: Path | None = None) -> MicroImage:
    """Build the micro guest from Debian packages into `out_dir`.

    Packages are kept in `cache_dir` (default `out_dir/cache`). What is already built from the same packages and
    the same files is left as it is. Must run as root. Raises ImageBuildError.
    """
    if os.geteuid() != 0:
        raise ImageBuildError("building an image needs root, so that the guest's files belong to its root: use sudo")
    out_dir.mkdir(parents=True, exist_ok=True)
    image = MicroImage(
        disk=out_dir / "micro.qcow2", kernel=out_dir / "vmlinuz", ramdisk=out_dir / "initrd",
        rootfs=out_dir / "micro-rootfs.tar.gz",
    )    # fmt: skip
    store = PackageStore(cache_dir or out_dir / "cache", progress)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=out_dir) as directory:
        _build(store, Path(directory), image, progress)
    return image


def _build(store: PackageStore, work: Path, image: MicroImage, progress: Progress) -> None:
    kernel_stage = work / "kernel"
    stage = userland.stage_packages(store, work)
    version, kernel = modules.stage_kernel(store, kernel_stage)
    progress(f"laying out the userland, kernel {version}")

    container_root = work / "container"
    userland.make_root(stage, container_root, full=True)
    _write_tarball(container_root, work / "rootfs.tar.gz")

    disk_root = container_root    # grows the modules that a container does not want
    modules.install_modules(kernel_stage, version, modules.MODULES, disk_root, stage.busybox)

    ramdisk_root = work / "ramdisk"
    userland.make_root(stage, ramdisk_root, full=False)
    modules.install_modules(kernel_stage, version, modules.MODULES, ramdisk_root, stage.busybox)
    _write_ramdisk(ramdisk_root, work / "initrd")

    starter_root = work / "starter"
    userland.make_skeleton(stage, starter_root)
    modules.install_modules(kernel_stage, version, modules.BOOT_MODULES, starter_root, stage.busybox)
    _write_ramdisk(starter_root, work / "starter.img")

    progress("writing the disk image")
    disk.write_disk(
        work / "micro.qcow2", root=disk_root, label=ROOT_LABEL, kernel=kernel, ramdisk=work / "starter.img",
        bios_command_line=BIOS_COMMAND_LINE, uefi_command_line=COMMAND_LINE,
    )    # fmt: skip
    for made, final in (
        (kernel, image.kernel), (work / "initrd", image.ramdisk), (work / "rootfs.tar.gz", image.rootfs),
        (work / "micro.qcow2", image.disk),
    ):    # fmt: skip
        made.replace(final)


def _write_ramdisk(root: Path, target: Path) -> None:
    shutil.copyfile(userland.guest_files() / "initramfs/init", root / "init")
    (root / "init").chmod(0o755)
    run("sh", "-ec", 'cd "$0"; find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | lz4 -l -9 > "$1"', root, target)


def _write_tarball(root: Path, target: Path) -> None:
    run("tar", "-C", root, "--numeric-owner", "--sort=name", "--mtime=@0", "-czf", target, ".")
