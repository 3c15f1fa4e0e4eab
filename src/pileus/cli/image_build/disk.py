"""A bootable disk image put together from files, without mounting anything.

A FAT partition that BIOS (syslinux) and UEFI (systemd-boot) both start from, and an ext4 partition that the
guest grows to its disk's size.
"""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec

from pileus.cli.image_build.packages import ImageBuildError, run

SECTOR = 512
ALIGNMENT = 1024 * 1024
DISK_BYTES = 256 * 1024 * 1024
"""Virtual size of the image; what no file fills takes no room in it."""

SYSLINUX_MBR = Path("/usr/lib/SYSLINUX/mbr.bin")
SYSTEMD_BOOT = Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi")

ACTIVE = 0x80
EFI_SYSTEM = 0xEF
LINUX = 0x83


class Partition(msgspec.Struct, frozen=True):
    """One primary partition; offset and length in bytes, multiples of a sector."""

    type: int
    offset: int
    length: int
    active: bool = False


def master_boot_record(code: bytes, partitions: list[Partition]) -> bytes:
    """The first sector: boot code (at most 440 bytes) and up to four partitions by sector number."""
    if len(code) > 440 or len(partitions) > 4:
        raise ValueError("a master boot record holds 440 bytes of code and four partitions")
    unaddressable = b"\xfe\xff\xff"  # cylinder, head, sector: "use the sector number"
    table = b"".join(
        struct.pack(
            "<B3sB3sII",
            ACTIVE if part.active else 0,
            unaddressable,
            part.type,
            unaddressable,
            part.offset // SECTOR,
            part.length // SECTOR,
        )
        for part in partitions
    )
    return code.ljust(446, b"\0") + table.ljust(64, b"\0") + b"\x55\xaa"


def layout(boot_bytes: int, disk_bytes: int) -> tuple[Partition, Partition]:
    """Boot and root partition of a disk; the boot partition has room for its files and FAT's own tables."""
    room = boot_bytes + boot_bytes // 64 + ALIGNMENT
    boot = Partition(EFI_SYSTEM, ALIGNMENT, -(-room // ALIGNMENT) * ALIGNMENT, active=True)
    start = boot.offset + boot.length
    return boot, Partition(LINUX, start, disk_bytes - start)


class BootEntry(msgspec.Struct, frozen=True):
    """What the boot loaders start."""

    kernel: Path
    ramdisk: Path
    command_line: str


def write_disk(
    target: Path, *, root: Path, label: str, entry: BootEntry, disk_bytes: int = DISK_BYTES
) -> None:
    """Make a qcow2 image at `target` whose root partition holds the tree `root`.

    Must run as root, so that the files keep their owners. Raises ImageBuildError.
    """
    for needed in (SYSLINUX_MBR, SYSTEMD_BOOT):
        if not needed.exists():
            raise ImageBuildError(
                f"{needed} is not on this host; `pileus doctor` names the package that has it"
            )
    raw = target.with_suffix(".raw")
    files = {"vmlinuz": entry.kernel, "initrd": entry.ramdisk, "EFI/BOOT/BOOTX64.EFI": SYSTEMD_BOOT}
    boot, root_partition = layout(sum(path.stat().st_size for path in files.values()), disk_bytes)
    with raw.open("wb") as image:
        image.write(master_boot_record(SYSLINUX_MBR.read_bytes(), [boot, root_partition]))
        image.truncate(disk_bytes)
    texts = {
        "syslinux.cfg": (
            f"DEFAULT linux\nLABEL linux\n  LINUX vmlinuz\n  INITRD initrd\n  APPEND {entry.command_line}\n"
        ),
        "loader/loader.conf": "timeout 0\n",
        "loader/entries/linux.conf": (
            f"title Linux\nlinux /vmlinuz\ninitrd /initrd\noptions {entry.command_line}\n"
        ),
    }
    _write_boot_partition(raw, boot, files, texts)
    run(
        "mke2fs", "-q", "-F", "-t", "ext4", "-L", label, "-d", root, "-b", "4096", "-i", "16384", "-m", "1",
        "-J", "size=16", "-E", f"offset={root_partition.offset},lazy_itable_init=1",
        raw, f"{root_partition.length // 1024}k",
    )  # fmt: skip
    run("qemu-img", "convert", "-O", "qcow2", "-c", "-o", "compression_type=zstd", raw, target)
    raw.unlink()


def _write_boot_partition(raw: Path, boot: Partition, files: dict[str, Path], texts: dict[str, str]) -> None:
    first_sector = str(boot.offset // SECTOR)
    run(
        "mkfs.fat", "-F", "16", "-n", "BOOT", "-h", first_sector, "--offset", first_sector, raw,
        str(boot.length // 1024),
    )  # fmt: skip
    volume = f"{raw}@@{boot.offset}"
    run("mmd", "-i", volume, "::EFI", "::EFI/BOOT", "::loader", "::loader/entries")
    for name, path in files.items():
        run("mcopy", "-i", volume, path, f"::{name}")
    for name, text in texts.items():
        run("mcopy", "-i", volume, "-", f"::{name}", stdin=text.encode())
    run("syslinux", "--install", "--offset", str(boot.offset), raw)
