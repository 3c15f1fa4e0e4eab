"""What an image is, found from its bytes: discs, plain disks, archives, and what may be stored as what."""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import struct
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pileus.lib.image_format import Inspection, Inspector, is_stored_as
from tests.image_bytes import MIB, inspect, make, needs_qemu_img, qcow2_header, run, vmdk


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


def test_text_of_many_lines_is_read_once() -> None:
    """Were it read anew for each line, that would outlast the test's deadline."""
    assert inspect(b"\n" * MIB + b"x").format == "raw"
    assert inspect(b"# \n" * MIB).format == "raw"


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
