"""What the image builder computes: tables, orders, parsed answers; and the guest's own scripts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pileus.cli.image import image
from pileus.cli.image_build import ImageBuildError, modules
from pileus.cli.image_build.disk import ALIGNMENT, SECTOR, Partition, layout, master_boot_record
from pileus.cli.image_build.packages import package_version, parse_uris
from pileus.cli.image_build.userland import guest_files, parse_loader_list

URIS = """Reading package lists...
'http://mirror/pool/main/b/busybox/busybox_1.35.0-4_amd64.deb' busybox_1%3a1.35.0-4_amd64.deb 452120 SHA256:00
'http://mirror/pool/main/c/curl/curl_7.88.1_amd64.deb' curl_7.88.1_amd64.deb 315764 SHA256:00
"""


def test_uris_that_apt_prints() -> None:
    rows = parse_uris(URIS)
    assert rows == [("busybox_1%3a1.35.0-4_amd64.deb", 452120), ("curl_7.88.1_amd64.deb", 315764)]
    assert package_version(rows[0][0]) == ("busybox", "1:1.35.0-4")


def test_master_boot_record() -> None:
    boot = Partition(0xEF, ALIGNMENT, 16 * ALIGNMENT, active=True)
    root = Partition(0x83, 17 * ALIGNMENT, 100 * ALIGNMENT)
    record = master_boot_record(b"\xfa\xeb", [boot, root])
    assert len(record) == SECTOR
    assert record.startswith(b"\xfa\xeb\0")
    assert record.endswith(b"\x55\xaa")
    first, second = record[446:462], record[462:478]
    assert (first[0], first[4], second[0], second[4]) == (0x80, 0xEF, 0, 0x83)
    assert int.from_bytes(second[8:12], "little") * SECTOR == root.offset
    # Where the guest's init writes the grown partition's length.
    assert int.from_bytes(record[474:478], "little") * SECTOR == root.length


def test_master_boot_record_refuses_too_much() -> None:
    with pytest.raises(ValueError, match="440 bytes"):
        master_boot_record(bytes(441), [])


@given(st.integers(0, 200_000_000))
def test_layout_has_room_and_no_overlap(boot_bytes: int) -> None:
    boot, root = layout(boot_bytes, 1 << 30)
    assert boot.length > boot_bytes
    assert boot.offset + boot.length == root.offset
    assert root.offset % ALIGNMENT == 0
    assert root.offset + root.length == 1 << 30


def test_modules_come_after_what_they_need() -> None:
    needs = {"net": ["virtio", "failover"], "failover": [], "virtio": ["ring"], "ring": [], "blk": ["virtio"]}
    order = modules.closure(["blk", "net"], needs.__getitem__)
    assert sorted(order) == sorted(needs)
    assert all(order.index(below) < order.index(name) for name, belows in needs.items() for below in belows)


def test_depends_of_a_module() -> None:
    assert modules.parse_depends(b"\0license=GPL\0depends=virtio-ring,virtio\0name=x\0") == [
        "virtio_ring",
        "virtio",
    ]
    assert modules.parse_depends(b"\0depends=\0") == []


def test_libraries_must_come_from_the_packages() -> None:
    printed = (
        "\tlinux-vdso.so.1 (0x00007ffd)\n"
        "\tlibz.so.1 => /stage/lib/x86_64-linux-gnu/libz.so.1 (0x00007f)\n"
        "\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n"
    )
    assert parse_loader_list(printed, Path("/stage")) == {"lib/x86_64-linux-gnu/libz.so.1"}
    for elsewhere in ("\tlibz.so.1 => /lib/libz.so.1 (0x00007f)\n", "\tlibz.so.1 => not found\n"):
        with pytest.raises(ImageBuildError, match=r"libz\.so\.1"):
            parse_loader_list(elsewhere, Path("/stage"))


BUSYBOX = shutil.which("busybox")
texts = st.text(st.sampled_from('\\/"~u0041nt\t\n ') | st.characters(exclude_characters="\0", codec="utf-8"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(texts, below, max_size=4),
    max_leaves=8,
)


def flatten(value: object, path: str = "") -> dict[str, str]:
    match value:
        case dict():
            parts = {name.replace("~", "~0").replace("/", "~1"): below for name, below in value.items()}
            return {
                k: v for name, below in parts.items() for k, v in flatten(below, f"{path}/{name}").items()
            }
        case list():
            return {
                k: v
                for index, below in enumerate(value)
                for k, v in flatten(below, f"{path}/{index}").items()
            }
        case str():
            return {path: value}
        case None:
            return {path: ""}
        case _:
            return {path: json.dumps(value)}


@pytest.mark.slow
@pytest.mark.skipif(BUSYBOX is None, reason="needs busybox, which runs the guest's scripts")
@pytest.mark.parametrize("ascii_only", [True, False])
@settings(deadline=None, max_examples=50)
@given(document=json_values)
@example(document={"a": "\\u0041", "b": "\\/\\", "c": "\U0001f600\u00e9"})
def test_the_guest_reads_any_json(ascii_only: bool, document: object) -> None:
    assert BUSYBOX is not None
    text = json.dumps(document, ensure_ascii=ascii_only)
    script = guest_files() / "rootfs/usr/lib/micro/json.awk"
    done = subprocess.run(
        [BUSYBOX, "awk", "-f", script], input=text.encode(), capture_output=True, check=True
    )
    found = {}
    for line in done.stdout.splitlines():
        pointer, value = (
            subprocess.run([BUSYBOX, "printf", "%b", part], capture_output=True, check=True).stdout.decode()
            for part in line.split(b"\t", 1)
        )
        found[pointer] = value
    assert found == flatten(document)


@pytest.mark.skipif(BUSYBOX is None, reason="needs busybox, which runs the guest's scripts")
def test_the_guest_s_scripts_parse() -> None:
    assert BUSYBOX is not None
    for path in sorted(guest_files().rglob("*")):
        if path.is_file() and path.read_bytes().startswith(b"#!"):
            subprocess.run([BUSYBOX, "sh", "-n", path], check=True)


def test_building_needs_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    answer = CliRunner().invoke(image, ["build", "micro", "--out", str(tmp_path), "--cache", str(tmp_path)])
    assert answer.exit_code == 1
    assert "use sudo" in answer.output


def test_command_names_what_can_be_built() -> None:
    answer = CliRunner().invoke(image, ["build", "--help"])
    assert answer.exit_code == 0
    assert "micro" in answer.output
    assert "debian" in answer.output
