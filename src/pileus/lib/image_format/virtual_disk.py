"""Disks of other hypervisors: VDI (VirtualBox), VHD and VHDX (Microsoft), ploop (Parallels), and LUKS."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Final

from pileus.lib.image_format.parser import MAX_PART, Found, Parser, Part, Tail, Truncated, unpack

_KIB: Final = 1024
_SECTOR: Final = 512
_HAS_PARENT: Final = "it is the difference to a parent disk, which would be read from the host"

_VDI_DIFFERENCING: Final = 4
_VHD_TYPES: Final = {2: "fixed", 3: "dynamic", 4: "differencing"}

_VHDX_METADATA: Final = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_VHDX_FILE_PARAMETERS: Final = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
_VHDX_DISK_SIZE: Final = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
_VHDX_ENTRIES: Final = 2047
_VHDX_HAS_PARENT: Final = 1 << 1


def vdi() -> Parser:
    header = yield Part(0, _SECTOR)
    if header[0x40:0x44] != b"\x7f\x10\xda\xbe":
        return None
    (kind,) = unpack("<I", header, 0x4C)
    (size,) = unpack("<Q", header, 0x170)
    (parent,) = unpack("16s", header, 0x1B8)
    found = Found(virtual_size=size, unsafe=[])
    if kind == _VDI_DIFFERENCING or any(parent):
        found.unsafe.append(_HAS_PARENT)
    return found


def vhd() -> Parser:
    """A footer, of which all but fixed disks keep a copy at the start ([MS-VHD] 2.1)."""
    footer = yield Part(0, _SECTOR)
    if footer[:8] != b"conectix":
        footer = yield Tail(_SECTOR)
        if footer[:8] != b"conectix":
            return None
    if len(footer) < _SECTOR:
        raise Truncated
    (size,) = unpack(">Q", footer, 48)
    (kind,) = unpack(">I", footer, 60)
    found = Found(virtual_size=size, variant=_VHD_TYPES.get(kind, "unknown"), unsafe=[])
    if found.variant == "differencing":
        found.unsafe.append(_HAS_PARENT)
    if found.variant == "unknown":
        found.unsafe.append(f"its type {kind} of VHD is unknown")
    return found


def vhdx() -> Parser:
    """[MS-VHDX]: the region table says where the metadata is, which says how large the disk is."""
    identifier = yield Part(0, 8)
    if identifier != b"vhdxfile":
        return None
    found = Found(unsafe=[])
    regions = yield Part(192 * _KIB, 64 * _KIB)
    metadata_at = dict(_vhdx_table(regions, b"regi", 8, 16, "<16sQ")).get(_VHDX_METADATA)
    if metadata_at is None:
        found.unsafe.append("it has no region of metadata, so its size is unknown")
        return found
    metadata = yield Part(metadata_at, MAX_PART)
    items = dict(_vhdx_table(metadata, b"metadata", 10, 32, "<16sI"))
    if _VHDX_DISK_SIZE not in items or _VHDX_FILE_PARAMETERS not in items:
        found.unsafe.append("its metadata does not say how large it is or how it is laid out")
        return found
    (found.virtual_size,) = unpack("<Q", metadata, items[_VHDX_DISK_SIZE])
    _, flags = unpack("<II", metadata, items[_VHDX_FILE_PARAMETERS])
    if flags & _VHDX_HAS_PARENT:
        found.unsafe.append(_HAS_PARENT)
    return found


def _vhdx_table(
    table: bytes, signature: bytes, count_at: int, entries_at: int, layout: str
) -> Iterator[tuple[bytes, int]]:
    """(GUID, offset) of each entry of 32 bytes."""
    if not table:
        raise Truncated
    if table[: len(signature)] != signature:
        return
    (count,) = unpack("<H", table, count_at)
    for index in range(min(count, _VHDX_ENTRIES)):
        yield unpack(layout, table, entries_at + 32 * index)


def ploop() -> Parser:
    header = yield Part(0, 64)
    if header[:16] not in (b"WithoutFreeSpace", b"WithouFreSpacExt"):
        return None
    # The older of the two counts sectors in 32 bits.
    (sectors,) = unpack("<Q" if header[:16] == b"WithouFreSpacExt" else "<I", header, 36)
    return Found(virtual_size=sectors * _SECTOR, unsafe=[])


def luks() -> Parser:
    header = yield Part(0, 592)
    if header[:6] != b"LUKS\xba\xbe":
        return None
    (version,) = unpack(">H", header, 6)
    found = Found(variant=f"v{version}", encrypted=True, unsafe=[])
    if version == 1:
        (sectors,) = unpack(">I", header, 104)
        found.payload_offset = sectors * _SECTOR
    else:
        found.unsafe.append(
            f"it is LUKS of version {version}, which QEMU cannot open; convert it to version 1"
        )
    return found
