"""Kernel and modules of the micro guest: what virtual hardware needs, picked from Debian's cloud kernel."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from pileus.cli.image_build.packages import ImageBuildError, PackageStore, run, unpack

KERNEL_PACKAGE = "linux-image-cloud-amd64"

BOOT_MODULES = ("virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "ata_piix")
"""What finding the root disk may take, in the small ramdisk beside the kernel."""

MODULES = (
    *BOOT_MODULES,
    "virtio_net",
    "virtio_rng",
    "virtio_balloon",
    "virtio_console",
    "sr_mod",
    "isofs",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_utf8",
    "nls_iso8859-1",
    "squashfs",
    "overlay",
    "loop",
    "virtiofs",
    "button",
    "evdev",
    "8021q",
    "dummy",
    "veth",
    "bridge",
    "tun",
    "pvpanic_mmio",
    "pvpanic_pci",
)


class Kernel(msgspec.Struct, frozen=True):
    version: str
    archive: Path


class StagedKernel(msgspec.Struct, frozen=True):
    version: str
    kernel: Path
    """The bootable file."""
    modules: Path


def fetch(store: PackageStore) -> Kernel:
    """Debian's newest cloud kernel. Raises ImageBuildError."""
    images = [name for name in store.dependencies(KERNEL_PACKAGE) if name.startswith("linux-image-")]
    if not images:
        raise ImageBuildError(
            f"apt knows no {KERNEL_PACKAGE}: the micro image is made from Debian's own packages"
        )
    (archive,) = store.alone(images[:1])
    return Kernel(images[0].removeprefix("linux-image-"), archive)


def stage(kernel: Kernel, into: Path) -> StagedKernel:
    """Unpack the kernel's package."""
    unpack([kernel.archive], into)
    return StagedKernel(
        kernel.version, into / "boot" / f"vmlinuz-{kernel.version}", into / "lib/modules" / kernel.version
    )


def module_files(tree: Path) -> dict[str, Path]:
    """Modules below `tree` by name, with `_` for `-` as the kernel itself has it."""
    return {path.stem.replace("-", "_"): path for path in tree.rglob("*.ko")}


def closure(wanted: Iterable[str], depends: Callable[[str], list[str]]) -> list[str]:
    """The modules and all they depend on, each once and after what it needs."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name not in order:
            for below in depends(name):
                visit(below)
            order.append(name)

    for name in wanted:
        visit(name.replace("-", "_"))
    return order


def parse_depends(module: bytes) -> list[str]:
    """The names in a module's `depends=` line (its .modinfo section)."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    return [name.replace("-", "_") for name in found.group(1).decode().split(",") if name] if found else []


def install(staged: StagedKernel, wanted: Iterable[str], root: Path, busybox: Path) -> None:
    """Copy modules with what they need below `root`, and have busybox index them for its modprobe."""
    available = module_files(staged.modules)

    def depends(name: str) -> list[str]:
        if name not in available:
            raise ImageBuildError(f"Debian's kernel {staged.version} has no module {name}")
        return parse_depends(available[name].read_bytes())

    target = root / "usr/lib/modules" / staged.version
    target.mkdir(parents=True, exist_ok=True)
    for name in closure(wanted, depends):
        shutil.copyfile(available[name], target / available[name].name)
    shutil.copyfile(staged.modules / "modules.builtin", target / "modules.builtin")
    run(busybox, "depmod", "-b", root, staged.version)
