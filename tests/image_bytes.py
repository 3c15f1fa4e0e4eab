"""Images of all formats, made by qemu-img or by hand, and what Pileus takes them for."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from pileus.lib.image_format import Inspection, Inspector

MIB = 1 << 20
needs_qemu_img = pytest.mark.skipif(
    shutil.which("qemu-img") is None, reason="qemu-img (Debian package qemu-utils) is not installed"
)


def inspect(data: bytes, chunk: int = 65536) -> Inspection:
    inspector = Inspector()
    for at in range(0, len(data), chunk):
        inspector.feed(data[at : at + chunk])
    return inspector.finish()


def run(*command: str | Path) -> str:
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


def make(path: Path, driver: str, options: str = "", size: str = "64M", *extra: str) -> bytes:
    run("qemu-img", "create", "-q", "-f", driver, *extra, *(("-o", options) if options else ()), path, size)
    return path.read_bytes()


QCOW2_FIELDS = (
    *("version", "backing", "length", "cluster_bits", "size", "crypt", "l1_size", "l1"),
    *("refcounts", "refcount_clusters", "snapshots", "snapshots_at", "features"),
)


def qcow2_header(**changed: int) -> bytes:
    fields = dict.fromkeys(QCOW2_FIELDS, 0) | {"version": 3, "cluster_bits": 16, "size": MIB} | changed
    return struct.pack(">4sIQIIQIIQQIIQQ", b"QFI\xfb", *fields.values()).ljust(1024, b"\0")


DESCRIPTOR = """# Disk DescriptorFile
version=1
CID=7b3f1d2c
parentCID=ffffffff
createType="{type}"

# Extent description
{extent}

ddb.virtualHWVersion = "4"
"""


def vmdk(
    type: str = "monolithicSparse", extent: str = 'RW 2048 SPARSE "disk.vmdk"', footer: bytes | None = None
) -> bytes:
    at_end = 2**64 - 1
    fields = (1, 3, 2048, 128, 1, 20, 512, 0, 21 if footer is None else at_end)
    header = struct.pack("<4sIIQQQQIQQ", b"KDMV", *fields).ljust(512, b"\0")
    body = header + DESCRIPTOR.format(type=type, extent=extent).encode().ljust(20 * 512, b"\0") + bytes(4096)
    return body if footer is None else body + bytes(512) + (footer or header) + bytes(512)
