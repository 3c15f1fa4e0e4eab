"""Virtual disks recognised: real files made by qemu-img and other tools, hostile ones made by hand."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.image_bytes import MIB, inspect, make, needs_qemu_img, qcow2_header, run, vmdk


def qemu_info(path: Path, driver: str) -> dict[str, Any]:
    info: dict[str, Any] = json.loads(run("qemu-img", "info", "--output=json", "-f", driver, path))
    return info


@needs_qemu_img
@pytest.mark.parametrize(
    ("driver", "options", "name", "variant"),
    [
        ("qcow2", "", "qcow2", "v3"),
        ("qcow2", "compat=0.10", "qcow2", "v2"),
        ("qcow2", "cluster_size=2M,extended_l2=on,compression_type=zstd", "qcow2", "v3"),
        ("vmdk", "", "vmdk", "monolithicSparse"),
        ("vmdk", "subformat=streamOptimized", "vmdk", "streamOptimized"),
        ("vdi", "", "vdi", None),
        ("vdi", "static=on", "vdi", None),
        ("vpc", "", "vhd", "dynamic"),
        ("vpc", "subformat=fixed", "vhd", "fixed"),
        ("vpc", "force_size=on", "vhd", "dynamic"),
        ("vhdx", "", "vhdx", None),
        ("vhdx", "subformat=fixed", "vhdx", None),
        ("vhdx", "log_size=32M,block_size=32M", "vhdx", None),
        ("parallels", "", "ploop", None),
    ],
)
def test_real_disks(tmp_path: Path, driver: str, options: str, name: str, variant: str | None) -> None:
    image = tmp_path / "image"
    data = make(image, driver, options)
    found = inspect(data)
    assert (found.format, found.variant, found.size) == (name, variant, len(data))
    assert found.virtual_size == qemu_info(image, driver)["virtual-size"]
    assert found.safe, found.unsafe_reasons
    assert not found.encrypted


@needs_qemu_img
@pytest.mark.parametrize(
    ("driver", "options", "extra", "name", "reason"),
    [
        ("qcow2", "", ("-b", "base.raw", "-F", "raw"), "qcow2", "backing file"),
        ("qcow2", "compat=0.10", ("-b", "base.raw", "-F", "raw"), "qcow2", "backing file"),
        ("qcow2", "data_file={}/data.raw", (), "qcow2", "external data file"),
        ("qcow2", "data_file={}/data.raw,data_file_raw=on", (), "qcow2", "external data file"),
        ("qcow", "", (), "qcow", "obsolete"),
        ("qcow", "", ("-b", "base.raw", "-F", "raw"), "qcow", "backing file"),
        ("qed", "", (), "qed", "obsolete"),
        ("qed", "", ("-b", "base.raw", "-F", "raw"), "qed", "backing file"),
        ("vmdk", "subformat=monolithicFlat", (), "vmdk", "data is in other files"),
        ("vmdk", "subformat=twoGbMaxExtentSparse", (), "vmdk", "data is in other files"),
        ("vmdk", "", ("-b", "base.vmdk", "-F", "vmdk"), "vmdk", "parent disk"),
    ],
)
def test_real_disks_that_reach_for_other_files(
    tmp_path: Path, driver: str, options: str, extra: tuple[str, ...], name: str, reason: str
) -> None:
    make(tmp_path / "base.raw", "raw")
    make(tmp_path / "base.vmdk", "vmdk")
    found = inspect(make(tmp_path / "image", driver, options.format(tmp_path), "64M", *extra))
    assert found.format == name
    assert not found.safe
    assert reason in " ".join(found.unsafe_reasons)


@needs_qemu_img
def test_part_of_a_split_vmdk_is_no_disk(tmp_path: Path) -> None:
    make(tmp_path / "image.vmdk", "vmdk", "subformat=twoGbMaxExtentSparse")
    found = inspect((tmp_path / "image-s001.vmdk").read_bytes())
    assert found.format == "vmdk"
    assert "0 extents" in " ".join(found.unsafe_reasons)
    without_descriptor = bytearray(vmdk())
    struct.pack_into("<QQ", without_descriptor, 28, 0, 0)
    assert "only a part" in inspect(bytes(without_descriptor)).unsafe_reasons[0]


SECRET = ("--object", "secret,id=key,data=open-sesame")


@needs_qemu_img
def test_encrypted_qcow2(tmp_path: Path) -> None:
    found = inspect(make(tmp_path / "q", "qcow2", "encrypt.format=aes,encrypt.key-secret=key", "8M", *SECRET))
    assert (found.format, found.encrypted, found.virtual_size) == ("qcow2", True, 8 * MIB)


@pytest.mark.slow
@needs_qemu_img
def test_luks(tmp_path: Path) -> None:
    found = inspect(make_luks(tmp_path / "luks"))
    assert (found.format, found.variant, found.encrypted, found.safe) == ("luks", "v1", True, True)
    assert found.virtual_size == 8 * MIB
    assert not inspect(b"LUKS\xba\xbe\0\2".ljust(600, b"\0")).safe


def make_luks(path: Path) -> bytes:
    for _ in range(30):
        try:
            return make(path, "luks", "key-secret=key,iter-time=10", "8M", *SECRET)
        except subprocess.CalledProcessError as error:
            # It measures the processor first, and gives up when the kernel's clock of CPU time is too coarse.
            if "accurate CPU usage" not in error.stderr:
                raise
    raise AssertionError("qemu-img could not measure the processor in 30 attempts")


@needs_qemu_img
@pytest.mark.parametrize(
    ("driver", "length", "name"),
    [
        ("qcow2", 70, "qcow2"),
        ("vmdk", 4000, "vmdk"),
        ("vdi", 200, "vdi"),
        ("vpc", 300, "vhd"),
        ("vhdx", 100_000, "vhdx"),
        ("vhdx", 3 << 19, "vhdx"),
        ("qed", 40, "qed"),
        ("parallels", 40, "ploop"),
    ],
)
def test_cut_off_in_the_headers(tmp_path: Path, driver: str, length: int, name: str) -> None:
    cut = inspect(make(tmp_path / "image", driver)[:length])
    assert (cut.format, cut.complete, cut.safe, cut.virtual_size) == (name, False, False, None)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"backing": 512, "length": 8}, "backing file"),
        ({"features": 1 << 2}, "external data file"),
        ({"features": 1 << 1}, "corrupt"),
        ({"features": 1 << 40}, "unknown (0x10000000000)"),
        ({"version": 4}, "version 4"),
        ({"cluster_bits": 60}, "2^60"),
    ],
)
def test_hostile_qcow2(changed: dict[str, int], reason: str) -> None:
    assert inspect(qcow2_header()).safe
    found = inspect(qcow2_header(**changed))
    assert found.format == "qcow2"
    assert reason in " ".join(found.unsafe_reasons)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (vmdk("monolithicFlat", 'RW 2048 FLAT "/etc/shadow" 0'), "monolithicFlat"),
        (vmdk(extent='RW 2048 SPARSE "/etc/shadow"'), "another file"),
        (vmdk(extent='RW 2048 SPARSE "..\\\\secret"'), "another file"),
        (vmdk(extent='RW 2048 FLAT "disk.vmdk" 0'), "another file"),
        (vmdk(extent='RW 1024 SPARSE "a"\nRW 1024 SPARSE "b"'), "2 extents"),
        (vmdk(extent=""), "0 extents"),
        (vmdk(extent="what is this"), "cannot be understood"),
        (vmdk(footer=b"KDMV".ljust(512, b"\1")), "does not agree"),
        (vmdk(footer=bytes(512)), "does not agree"),
        (b"\n# only text\n version = 1\n" + b'RW 1 FLAT "/etc/shadow" 0\n', "other files"),
    ],
)
def test_hostile_vmdk(data: bytes, reason: str) -> None:
    found = inspect(data)
    assert found.format == "vmdk"
    assert reason in " ".join(found.unsafe_reasons)


def test_vmdk_made_by_hand_is_safe() -> None:
    assert inspect(vmdk()).safe
    assert inspect(vmdk("streamOptimized", footer=b"")).safe
    assert inspect(vmdk()).virtual_size == MIB


def test_differencing_disks() -> None:
    vdi = bytearray(512)
    vdi[0x40:0x44] = b"\x7f\x10\xda\xbe"
    struct.pack_into("<Q", vdi, 0x170, MIB)
    assert inspect(bytes(vdi)).safe
    vdi[0x1B8] = 1
    assert "parent" in inspect(bytes(vdi)).unsafe_reasons[0]
    footer = bytearray(b"conectix".ljust(512, b"\0"))
    struct.pack_into(">QQII", footer, 40, MIB, MIB, 0, 4)
    assert "parent" in inspect(bytes(footer)).unsafe_reasons[0]
