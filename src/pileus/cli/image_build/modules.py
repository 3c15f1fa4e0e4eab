"""Kernel and modules of the micro guest: what virtual hardware needs, picked from Debian's cloud kernel."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from pileus.cli.image_build.packages import ImageBuildError, PackageStore, run, unpack

KERNEL_PACKAGE = "linux-image-cloud-amd64"

BOOT_MODULES = ("virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "ata_piix")
"""What finding the root disk may take, in the small ramdisk beside the kernel."""

MODULES = (
    *BOOT_MODULES,
    "virtio_net", "virtio_rng", "virtio_balloon", "virtio_console",
    "sr_mod", "isofs", "vfat", "nls_cp437", "nls_ascii", "nls_utf8", "nls_iso8859-1", "squashfs", "overlay",
    "loop", "virtiofs", "button", "evdev", "8021q", "dummy", "veth", "bridge", "tun",
)

def stage_kernel(store: PackageStore, into: Path) -> tuple[str, Path]:
    """Unpack Debian's newest cloud kernel; returns its version and the bootable file."""
    images = [name for name in store.dependencies(KERNEL_PACKAGE) if name.startswith("linux-image-")]
    if not images:
        raise ImageBuildError(f"apt knows no {KERNEL_PACKAGE}: the micro image is made from Debian's own packages")
    unpack(store.alone(images[:1]), into)
    version = images[0].removeprefix("linux-image-")
    return version, into / "boot" / f"vmlinuz-{version}"


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


def install_modules(
    kernel_stage: Path, version: str, wanted: Iterable[str], root: Path, busybox: Path
) -> None:
    """Copy modules with what they need below `root`, and have busybox index them for its modprobe."""
    available = module_files(kernel_stage / "lib/modules" / version)

    def depends(name: str) -> list[str]:
        if name not in available:
            raise ImageBuildError(f"Debian's kernel {version} has no module {name}")
        return parse_depends(available[name].read_bytes())

    names = closure(wanted, depends)
    target = root / "usr/lib/modules" / version
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        (target / available[name].name).write_bytes(available[name].read_bytes())
    for index in ("modules.builtin", "modules.order"):
        if (source := kernel_stage / "lib/modules" / version / index).exists():
            shutil.copyfile(source, target / index)
    run(busybox, "depmod", "-b", root, version)
