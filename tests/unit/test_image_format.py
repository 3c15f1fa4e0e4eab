"""Recognition of image formats: real files made by qemu-img and other tools, hostile ones made by hand."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import shutil
import struct
import subprocess
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pileus.lib.image_format import Inspection, Inspector, is_stored_as

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


@needs_qemu_img
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["qcow2", "vmdk", "streamOptimized", "vdi", "fixed-vhd", "vhdx", "iso-like"]), st.data()
)
def test_chunks_make_no_difference(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    path = tmp_path / kind
    if kind == "iso-like":
        content = bytes(32769) + b"CD001" + bytes(2000)
    elif path.exists():
        content = path.read_bytes()
    else:
        driver, options = {
            "streamOptimized": ("vmdk", "subformat=streamOptimized"),
            "fixed-vhd": ("vpc", "subformat=fixed"),
        }.get(kind, (kind, ""))
        content = make(path, driver, options, "1M")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=12)))
    inspector = Inspector()
    for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
        inspector.feed(memoryview(content)[start:end])
    assert inspector.finish() == inspect(content, len(content))


@pytest.mark.skipif(shutil.which("genisoimage") is None, reason="genisoimage is not installed")
@pytest.mark.parametrize(("option", "variant"), [("-r", "iso9660"), ("-udf", "iso9660")])
def test_real_iso(tmp_path: Path, option: str, variant: str) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("hello")
    run("genisoimage", "-quiet", option, "-o", tmp_path / "iso", tmp_path / "tree")
    data = (tmp_path / "iso").read_bytes()
    found = inspect(data)
    assert (found.format, found.variant, found.safe, found.virtual_size) == ("iso", variant, True, len(data))
    hybrid = b"\0" * 446 + partition(0x80, 0x17) + bytes(48) + b"\x55\xaa" + data[512:]
    assert inspect(hybrid).format == "iso"
    assert inspect(hybrid).safe


def partition(flag: int, kind: int) -> bytes:
    return bytes([flag, 0, 0, 0, kind, 0, 0, 0]) + struct.pack("<II", 2048, 4096)


def boot_sector(*partitions: bytes) -> bytes:
    return bytes(446) + b"".join(partitions).ljust(64, b"\0") + b"\x55\xaa"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "raw"),
        (bytes(MIB), "raw"),
        (b"hello", "raw"),
        (boot_sector(partition(0x80, 0x83)) + bytes(MIB), "mbr"),
        (boot_sector(partition(0x00, 0xEE)) + b"EFI PART" + bytes(MIB), "gpt"),
        (boot_sector(partition(0x00, 0xEE)) + bytes(4096 - 512) + b"EFI PART" + bytes(MIB), "gpt"),
        (boot_sector() + bytes(MIB), "raw"),
        (boot_sector(partition(0x42, 0x83)) + bytes(MIB), "raw"),
    ],
)
def test_plain_disks(data: bytes, name: str) -> None:
    found = inspect(data)
    assert (found.format, found.virtual_size, found.safe) == (name, len(data), True)


def tarball(mode: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]  # a mode by parameter
        member = tarfile.TarInfo("./etc/hostname")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"cloud"))
    return out.getvalue()


@pytest.mark.parametrize(("mode", "name"), [("w", "tar"), ("w:gz", "tar.gz"), ("w:xz", "tar.xz")])
@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives(monkeypatch: pytest.MonkeyPatch, mode: str, name: str, layout: int) -> None:
    monkeypatch.setattr(tarfile.TarFile, "format", layout)
    found = inspect(tarball(mode))
    assert (found.format, found.virtual_size, found.safe) == (name, None, True)
    assert is_stored_as(found, "rootfs")
    assert not is_stored_as(found, "raw")


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_compressed_data_that_is_no_archive(compress: Callable[[bytes], bytes]) -> None:
    assert inspect(compress(bytes(MIB))).format == "raw"
    assert inspect(compress(tarball("w"))[:40]).format == "raw"
    assert inspect(compress(b"")[:6] + b"\xff" * 600).format == "raw"


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
def test_zstandard(tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(tarball("w"))
    run("zstd", "-q", tmp_path / "root.tar")
    found = inspect((tmp_path / "root.tar.zst").read_bytes())
    assert found.format == "zst"
    assert is_stored_as(found, "rootfs")


QCOW2_FIELDS = (
    *("version", "backing", "length", "cluster_bits", "size", "crypt", "l1_size", "l1"),
    *("refcounts", "refcount_clusters", "snapshots", "snapshots_at", "features"),
)


def qcow2_header(**changed: int) -> bytes:
    fields = dict.fromkeys(QCOW2_FIELDS, 0) | {"version": 3, "cluster_bits": 16, "size": MIB} | changed
    return struct.pack(">4sIQIIQIIQQIIQQ", b"QFI\xfb", *fields.values()).ljust(1024, b"\0")


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


def test_text_of_many_lines_is_read_once() -> None:
    """Were it read anew for each line, that would outlast the test's deadline."""
    assert inspect(b"\n" * MIB + b"x").format == "raw"
    assert inspect(b"# \n" * MIB).format == "raw"


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


def test_a_file_with_two_faces_is_refused() -> None:
    data = bytearray(qcow2_header().ljust(40_000, b"\0"))
    data[32769:32774] = b"CD001"
    found = inspect(bytes(data))
    assert (found.format, found.safe) == ("qcow2", False)
    assert found.unsafe_reasons == ("it could be taken for iso as well",)


@pytest.mark.parametrize(
    ("name", "fits", "not_fits"),
    [
        ("qcow2", {"qcow2"}, {"raw", "ami", "rootfs", "iso", "vmdk"}),
        ("gpt", {"raw", "ami", "ari", "aki"}, {"qcow2", "iso", "rootfs"}),
        ("iso", {"iso", "raw"}, {"qcow2", "rootfs", "ami", "aki", "ari"}),
        ("raw", {"raw", "ami", "ari", "aki"}, {"qcow2", "iso", "rootfs"}),
        ("tar.gz", {"rootfs", "ari", "aki"}, {"raw", "qcow2"}),
        ("vhd", {"vhd"}, {"raw", "vhdx"}),
    ],
)
def test_what_is_stored_as_what(name: str, fits: set[str], not_fits: set[str]) -> None:
    inspection = Inspection(format=name, size=0, virtual_size=0)
    assert {disk_format for disk_format in fits | not_fits if is_stored_as(inspection, disk_format)} == fits


@settings(deadline=None)
@given(
    st.sampled_from(
        [qcow2_header(), vmdk(), b"vhdxfile".ljust(300_000, b"\0"), b"LUKS\xba\xbe\0\1".ljust(700, b"\0")]
    ),
    st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=16)), max_size=8),
    st.integers(0, 300_000),
)
def test_no_bytes_make_it_fail(data: bytes, damage: list[tuple[int, bytes]], length: int) -> None:
    damaged = bytearray(data)
    for at, content in damage:
        damaged[at : at + len(content)] = content
    found = inspect(bytes(damaged[:length]))
    assert found.size == min(length, len(damaged))


@given(st.binary(max_size=5000))
def test_any_bytes(data: bytes) -> None:
    found = inspect(data, 100)
    assert found == inspect(data, 5000)
    assert inspect(data).size == len(data)


def test_memory_stays_small_and_the_stream_is_not_slowed() -> None:
    chunk = bytes(MIB)
    inspector = Inspector()
    tracemalloc.start()
    try:
        for _ in range(64):
            inspector.feed(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 256 * 1024
    assert inspector.finish().size == 64 * MIB
    with pytest.raises(ValueError, match="after it had finished"):
        inspector.feed(b"x")
    assert inspector.finish() is inspector.finish()
