"""The micro guest: a bootable disk, the same as kernel and ramdisk, and a root file system for containers."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from pileus.cli.image_build import disk, modules, userland
from pileus.cli.image_build.packages import ImageBuildError, PackageStore, Progress, run

ROOT_LABEL = "micro-root"
COMMAND_LINE = "console=tty0 console=ttyS0 quiet cryptomgr.notests"
"""The kernel's command line. Its self-tests of ciphers alone take 0.2 s in an emulated guest."""


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

    Packages are kept in `cache_dir` (default `out_dir/cache`). What was made from the same packages and the
    same files of Pileus is left as it is. Must run as root. Raises ImageBuildError.
    """
    if os.geteuid() != 0:
        raise ImageBuildError(
            "building an image needs root, so that the guest's files belong to its root: use sudo"
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    image = MicroImage(
        disk=out_dir / "micro.qcow2",
        kernel=out_dir / "vmlinuz",
        ramdisk=out_dir / "initrd",
        rootfs=out_dir / "micro-rootfs.tar.gz",
    )
    store = PackageStore(cache_dir or out_dir / "cache", progress)
    packages = userland.fetch(store)
    kernel = modules.fetch(store)
    stamp = out_dir / "micro.made-from"
    made_from = _fingerprint([*packages.archives, packages.static_busybox, kernel.archive])
    made = msgspec.structs.astuple(image)
    if stamp.exists() and stamp.read_text() == made_from and all(path.exists() for path in made):
        progress("it is there already, made from the same packages")
        return image
    stamp.unlink(missing_ok=True)
    # Beside the result, so that moving it there is one step.
    with tempfile.TemporaryDirectory(prefix=".micro-", dir=out_dir) as directory:
        _build(packages, kernel, Path(directory), image, progress)
    stamp.write_text(made_from)
    return image


def _build(
    packages: userland.Packages, kernel: modules.Kernel, work: Path, image: MicroImage, progress: Progress
) -> None:
    progress(f"laying out the userland and kernel {kernel.version}")
    with ThreadPoolExecutor() as pool:
        unpacking = pool.submit(modules.stage, kernel, work / "kernel")
        stage = userland.stage(packages, work)
        container_root, ramdisk_root = work / "container", work / "ramdisk"
        userland.make_root(stage, container_root, full=True)
        tarball = pool.submit(_write_tarball, container_root, work / "rootfs")
        userland.make_root(stage, ramdisk_root, full=False)
        staged = unpacking.result()
        modules.install(staged, modules.MODULES, ramdisk_root, stage.busybox)
        ramdisk = pool.submit(_write_ramdisk, ramdisk_root, work / "initrd")
        # Beside the kernel on the disk lies only what finds the root file system.
        starter_root = work / "starter"
        userland.make_skeleton(stage, starter_root)
        modules.install(staged, modules.BOOT_MODULES, starter_root, stage.busybox)
        _write_ramdisk(starter_root, work / "starter.img")

        tarball.result()
        disk_root = container_root  # with the modules that a container does not want
        modules.install(staged, modules.MODULES, disk_root, stage.busybox)
        progress("writing the disk image")
        disk.write_disk(
            work / "disk",
            root=disk_root,
            label=ROOT_LABEL,
            entry=disk.BootEntry(staged.kernel, work / "starter.img", COMMAND_LINE),
        )
        ramdisk.result()
    shutil.copyfile(staged.kernel, work / "vmlinuz")
    for made, final in (
        ("vmlinuz", image.kernel),
        ("initrd", image.ramdisk),
        ("rootfs", image.rootfs),
        ("disk", image.disk),
    ):
        (work / made).replace(final)


def _fingerprint(archives: Iterable[Path]) -> str:
    """What an image is made from: packages by name and version, and the text of this package."""
    digest = hashlib.sha256()
    for name in sorted(path.name for path in archives):
        digest.update(name.encode() + b"\n")
    package = Path(__file__).parent
    for path in sorted(path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        digest.update(str(path.relative_to(package)).encode() + b"\n" + path.read_bytes())
    return digest.hexdigest()


def _write_ramdisk(root: Path, target: Path) -> None:
    shutil.copyfile(userland.guest_files() / "initramfs/init", root / "init")
    (root / "init").chmod(0o755)
    pack = 'cd "$0"; find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | lz4 -l -9 > "$1"'
    run("sh", "-ec", pack, root.absolute(), target.absolute())


def _write_tarball(root: Path, target: Path) -> None:
    run("tar", "-C", root, "--numeric-owner", "--sort=name", "--mtime=@0", "-czf", target, ".")
