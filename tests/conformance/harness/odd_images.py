"""A folder of images of every format, good ones and such as must be refused, as Tempest's tests of formats want it
(`image.images_manifest_file`). Made by qemu-img where that makes them, else by hand."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SECTOR = 2048
SIZE = "4M"


class Odd(NamedTuple):
    name: str
    format: str
    """As images say it."""
    usable: bool
    made: tuple[str, ...] = ()
    """What qemu-img gets; none where the file is made by hand."""


IMAGES = (
    Odd("qcow2", "qcow2", True, ("create", "-f", "qcow2")),
    Odd("qcow2-v2", "qcow2", True, ("create", "-f", "qcow2", "-o", "compat=0.10")),
    Odd(
        "qcow2-backing-file", "qcow2", False, ("create", "-f", "qcow2", "-u", "-F", "raw", "-b", "/etc/hosts")
    ),
    Odd(
        "qcow2-data-file", "qcow2", False, ("create", "-f", "qcow2", "-o", "data_file=data,data_file_raw=on")
    ),
    Odd("vmdk-sparse", "vmdk", True, ("create", "-f", "vmdk", "-o", "subformat=monolithicSparse")),
    Odd("vmdk-stream", "vmdk", True, ("create", "-f", "vmdk", "-o", "subformat=streamOptimized")),
    Odd("vmdk-flat", "vmdk", False, ("create", "-f", "vmdk", "-o", "subformat=monolithicFlat")),
    Odd("vdi", "vdi", True, ("create", "-f", "vdi")),
    Odd("vhd", "vhd", True, ("create", "-f", "vpc")),
    Odd("vhdx", "vhdx", True, ("create", "-f", "vhdx")),
    Odd("raw", "raw", True, ("create", "-f", "raw")),
    Odd("iso", "iso", True),
)


def make(folder: Path) -> Path | None:
    """The folder's manifest; None where there is no qemu-img."""
    if shutil.which("qemu-img") is None:
        return None
    folder.mkdir()
    for odd in IMAGES:
        file = folder / f"{odd.name}.img"
        if odd.made:
            command = ["qemu-img", *odd.made, str(file), SIZE]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)
        else:
            file.write_bytes(b"".join(_iso()))
    manifest = folder / "manifest.yaml"
    manifest.write_text("images:\n" + "".join(map(_entry, IMAGES)))
    return manifest


def _entry(odd: Odd) -> str:
    usable = str(odd.usable).lower()
    return f"- {{name: {odd.name}, filename: {odd.name}.img, format: {odd.format}, usable: {usable}}}\n"


def _iso() -> Iterator[bytes]:
    """An empty volume (ECMA-119): sixteen sectors for the system, the primary descriptor, the one that ends the set."""
    yield bytes(16 * SECTOR)
    yield (b"\x01CD001\x01\0" + b"LINUX".ljust(32) + b"ODD".ljust(32)).ljust(SECTOR, b"\0")
    yield b"\xffCD001\x01".ljust(SECTOR, b"\0")
    yield bytes(32 * SECTOR)
