"""QEMU's own formats: qcow2 and qed (docs/interop of its source), and qcow2's predecessor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pileus.lib.image_format.parser import Found, Parser, Part, unpack

_CORRUPT: Final = 1 << 1
_EXTERNAL_DATA: Final = 1 << 2
_KNOWN_FEATURES: Final = (1 << 5) - 1
_QED_BACKING_FILE: Final = 1 << 0
_QED_KNOWN_FEATURES: Final = (1 << 3) - 1

NAMES_ANOTHER_FILE: Final = "it names a backing file, which would be read from the host"
DATA_ELSEWHERE: Final = "it names an external data file, which would be read from the host"


def qcow2() -> Parser:
    header = yield Part(0, 80)
    if header[:4] != b"QFI\xfb" or header[4:8] == b"\0\0\0\1":
        return None
    version, backing_offset, _, cluster_bits, size, crypt_method = unpack(">IQIIQI", header, 4)
    found = Found(virtual_size=size, variant=f"v{version}", encrypted=crypt_method != 0, unsafe=[])
    if version not in (2, 3):
        found.unsafe.append(f"its version {version} of qcow2 is unknown")
    if not 9 <= cluster_bits <= 21:
        found.unsafe.append(f"its clusters of 2^{cluster_bits} bytes are beyond what qcow2 allows")
    if backing_offset:
        found.unsafe.append(NAMES_ANOTHER_FILE)
    if version >= 3:
        (features,) = unpack(">Q", header, 72)
        found.unsafe += _qcow2_features(features)
    return found


def _qcow2_features(features: int) -> Iterator[str]:
    if features & _CORRUPT:
        yield "it is marked corrupt"
    if features & _EXTERNAL_DATA:
        yield DATA_ELSEWHERE
    if features & ~_KNOWN_FEATURES:
        yield f"it uses features that are unknown ({features & ~_KNOWN_FEATURES:#x})"


def qcow() -> Parser:
    header = yield Part(0, 48)
    if header[:8] != b"QFI\xfb\0\0\0\1":
        return None
    backing_offset, _, _, size, _, _, _, crypt_method = unpack(">QIIQBBHI", header, 8)
    found = Found(virtual_size=size, variant="v1", encrypted=crypt_method != 0)
    found.unsafe = ["it is qcow of version 1, which is obsolete; convert it to qcow2"]
    if backing_offset:
        found.unsafe.append(NAMES_ANOTHER_FILE)
    return found


def qed() -> Parser:
    header = yield Part(0, 64)
    if header[:4] != b"QED\0":
        return None
    features, _, _, _, size = unpack("<QQQQQ", header, 16)
    found = Found(virtual_size=size, unsafe=["it is qed, which is obsolete; convert it to qcow2"])
    if features & _QED_BACKING_FILE:
        found.unsafe.append(NAMES_ANOTHER_FILE)
    if features & ~_QED_KNOWN_FEATURES:
        found.unsafe.append(f"it uses features that are unknown ({features & ~_QED_KNOWN_FEATURES:#x})")
    return found
