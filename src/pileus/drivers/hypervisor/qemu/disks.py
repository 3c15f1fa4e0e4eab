"""What a guest's disks are made of: checked images, overlays over them, config drives."""

from __future__ import annotations

import asyncio
import shutil
import struct
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from pileus.drivers import program
from pileus.services.compute.driver import HypervisorError, Image

DISK_FORMATS = ("qcow2", "raw")
BOOT_FORMATS = ("aki", "ari")
"""Kernels and ramdisks, as Glance names them."""

UEFI_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
_UEFI_VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")

_GIB = 1 << 30


async def run_tool(*command: str, seconds: float = program.SECONDS) -> bytes:
    """Run a program to its end; gives what it printed, raises `HypervisorError` with what it complained."""
    try:
        return await program.run(*command, seconds=seconds)
    except program.ProgramError as error:
        raise HypervisorError(f"{error}.") from error


async def check_image(image: Image, path: Path) -> Path:
    """Accept an image, as it is, only if it is what it says and stands alone: a qcow2 file that names other
    files of the host as its backing or data file would let its owner read them."""
    if image.disk_format in BOOT_FORMATS or image.disk_format == "raw":
        return path
    if image.disk_format not in DISK_FORMATS:
        raise HypervisorError(
            f"Image {image.id} has the format {image.disk_format!r}; QEMU guests start from "
            f"{' or '.join(DISK_FORMATS)}."
        )
    info = await _image_info(path, image.disk_format)
    for key in ("backing-filename", "full-backing-filename"):
        if key in info:
            raise HypervisorError(f"Image {image.id} refers to another file ({info[key]}) and is refused.")
    if info.get("format-specific", {}).get("data", {}).get("data-file"):
        raise HypervisorError(f"Image {image.id} keeps its data in another file and is refused.")
    return path


async def create_root(path: Path, base: Path, base_format: str, root_gib: int) -> None:
    """An overlay over the image, of `root_gib` or of the image's own size; whole or not there."""
    size = [] if root_gib == 0 else [str(root_gib * _GIB)]
    if size:
        found = virtual_bytes(base, base_format)
        if found > root_gib * _GIB:
            needed = -(-found // _GIB)
            raise HypervisorError(
                f"The image needs a root disk of {needed} GiB; the flavor gives {root_gib} GiB."
            )
    part = path.with_name(f"{path.name}.part")
    create = ("qemu-img", "create", "-q", "-f", "qcow2")
    await run_tool(*create, "-b", str(base), "-F", base_format, str(part), *size)
    part.rename(path)


async def grow_root(path: Path, root_gib: int) -> None:
    await run_tool("qemu-img", "resize", "-q", "-f", "qcow2", str(path), str(root_gib * _GIB))


async def write_config_drive(path: Path, files: dict[str, bytes]) -> None:
    """An ISO 9660 file system with the label by which cloud-init and its kin find a config drive."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="config-drive.") as directory:
        await asyncio.to_thread(_write_tree, Path(directory), files)
        part = path.with_name(f"{path.name}.part")
        options = ("-quiet", "-volid", "config-2", "-joliet", "-rock", "-allow-lowercase", "-l")
        await run_tool("genisoimage", *options, "-o", str(part), directory)
    part.rename(path)


def _write_tree(directory: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        file = directory / name
        if not file.resolve().is_relative_to(directory.resolve()):
            raise HypervisorError(f"A config drive cannot hold a file named {name!r}.")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def copy_variables(path: Path) -> None:
    """UEFI variables of the guest's own, made once."""
    if not UEFI_CODE.exists():
        raise HypervisorError("This host has no UEFI firmware for guests: apt install ovmf.")
    if not path.exists():
        part = path.with_name(f"{path.name}.part")
        shutil.copyfile(_UEFI_VARIABLES, part)
        part.rename(path)


def virtual_bytes(path: Path, disk_format: str) -> int:
    """The size of the disk that an image holds; a qcow2 file has it in its header, at byte 24."""
    if disk_format == "raw":
        return path.stat().st_size
    with open(path, "rb") as file:
        (size,) = struct.unpack(">24xQ", file.read(32))
    return int(size)


async def _image_info(path: Path, disk_format: str) -> dict[str, Any]:
    output = await run_tool(
        "qemu-img", "info", "--force-share", "-f", disk_format, "--output=json", str(path)
    )
    info: dict[str, Any] = msgspec.json.decode(output)
    return info
