"""VMware's disks (Virtual Disk Format 5.0): a file with a descriptor inside, or a descriptor of others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pileus.lib.image_format.parser import MAX_PART, Found, Parser, Part, Tail, Truncated, unpack

_SECTOR: Final = 512
_AT_END: Final = 0xFFFF_FFFF_FFFF_FFFF
"""A grain directory offset that says: look at the copy of the header in the last sectors."""
_HEADER: Final = "<IIQQQQIQQ"
_NO_PARENT: Final = "ffffffff"
_FIRST_LINE: Final = re.compile(r"version\s*=\s*[123]", re.I)
_SETTING: Final = re.compile(r"(?P<name>[\w.]+)\s*=\s*\"?(?P<value>[^\"]*)\"?")
_EXTENT: Final = re.compile(
    r"(?P<access>rw|rdonly|noaccess)\s+(?P<sectors>\d+)\s+(?P<kind>\w+)\s*(?P<file>.*)", re.I
)


def vmdk() -> Parser:
    header = yield Part(0, _SECTOR)
    if header[:4] != b"KDMV":
        return None
    version, _, capacity, _, descriptor_at, descriptor_sectors, _, _, directory_at = unpack(
        _HEADER, header, 4
    )
    found = Found(virtual_size=capacity * _SECTOR, unsafe=[])
    if version not in (1, 2, 3):
        found.unsafe.append(f"its version {version} of VMDK is unknown")
    if descriptor_at == 0:
        found.unsafe.append("it has no descriptor of its own, so it is only a part of a disk")
        return found
    length = min(descriptor_sectors * _SECTOR, MAX_PART)
    descriptor = yield Part(descriptor_at * _SECTOR, length)
    if len(descriptor) < length:
        raise Truncated
    _read_descriptor(descriptor, found)
    if directory_at == _AT_END:
        end = yield Tail(3 * _SECTOR)
        if not _footer_agrees(header, end):
            found.unsafe.append("the copy of its header at the end does not agree with the one at the start")
    return found


def vmdk_descriptor() -> Parser:
    """A descriptor alone, which QEMU takes as a disk too: its extents are other files."""
    start = yield Part(0, 4096)
    if not _FIRST_LINE.fullmatch(next(_lines(_text(start)), "")):
        return None
    found = Found(unsafe=["it only describes a disk whose data is in other files"])
    _read_descriptor(start, found)
    return found


def _footer_agrees(header: bytes, end: bytes) -> bool:
    """Whether the footer, the sector between two markers at the end, says what the header says."""
    footer = end[_SECTOR : 2 * _SECTOR]
    if len(footer) < _SECTOR or footer[:4] != b"KDMV":
        return False
    # All but the grain directory's place, the reason why there is a footer.
    return unpack(_HEADER, footer, 4)[:6] == unpack(_HEADER, header, 4)[:6]


def _read_descriptor(data: bytes, found: Found) -> None:
    settings: dict[str, str] = {}
    extents: list[re.Match[str]] = []
    for line in _lines(_text(data)):
        if extent := _EXTENT.fullmatch(line):
            extents.append(extent)
        elif setting := _SETTING.fullmatch(line):
            settings[setting["name"].lower()] = setting["value"].strip()
        else:
            found.unsafe.append("its descriptor has lines that cannot be understood")
            break
    found.variant = settings.get("createtype", "unknown")[:64]
    if found.variant.lower() not in ("monolithicsparse", "streamoptimized"):
        found.unsafe.append(
            f"its data is stored as {found.variant}; only monolithicSparse and streamOptimized are one file"
        )
    if settings.get("parentcid", _NO_PARENT).lower() != _NO_PARENT or "parentfilenamehint" in settings:
        found.unsafe.append("it names a parent disk, which would be read from the host")
    if len(extents) != 1:
        found.unsafe.append(f"it has {len(extents)} extents instead of one")
    elif extents[0]["kind"].lower() != "sparse" or "/" in extents[0]["file"] or "\\" in extents[0]["file"]:
        found.unsafe.append("its extent names another file, which would be read from the host")


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("latin-1")


def _lines(text: str) -> Iterator[str]:
    """Lines that say something. Only a line feed ends a line, as for QEMU."""
    for line in text.split("\n"):
        line = line.strip(" \t\r")
        if line and not line.startswith("#"):
            yield line
