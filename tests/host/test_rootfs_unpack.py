"""What becomes of tarballs, honest and hostile, on a real file system: needs root for owners and chroot."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from pileus.drivers.hypervisor.runc import rootfs
from pileus.services.compute.driver import HypervisorError, Image

from . import busybox_rootfs
from .busybox_rootfs import member

pytestmark = pytest.mark.host


def unpack(directory: Path, content: bytes, disk_format: str = "rootfs") -> Path:
    tarball = directory / "image"
    tarball.write_bytes(content)
    image = Image(id="image", disk_format=disk_format, size_bytes=len(content))
    return asyncio.run(rootfs.unpack_image(image, tarball))


@pytest.mark.parametrize("compression", ["", "gz", "zst"])
def test_owners_modes_links_times_and_capabilities_are_kept(tmp_path: Path, compression: str) -> None:
    ping = member("bin/ping", tarfile.REGTYPE, 0o755)
    ping.pax_headers = {"SCHILY.xattr.security.capability": "\x01\0\0\x02\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0"}
    sudo = member("bin/sudo", tarfile.REGTYPE, 0o4755)
    sudo.uid, sudo.gid, sudo.mtime = 33, 65534, 1_000_000_000
    hard = member("bin/sudoedit", tarfile.LNKTYPE, 0o4755)
    hard.linkname = "bin/sudo"
    home = member("home", tarfile.DIRTYPE, 0o2750)
    home.gid, home.mtime = 100, 1_000_000_001
    within = member("home/file", tarfile.REGTYPE, 0o600)
    content = busybox_rootfs.tarball(
        "gz" if compression == "gz" else "",
        [(ping, b"ping"), (sudo, b"sudo"), (hard, b""), (home, b""), (within, b"x")],
    )
    if compression == "zst":
        content = subprocess.run(["zstd", "-qc"], input=content, capture_output=True, check=True).stdout
    root = unpack(tmp_path, content)
    found = (root / "bin" / "sudo").stat()
    assert (found.st_uid, found.st_gid, found.st_mtime) == (33, 65534, 1_000_000_000)
    assert (stat.S_IMODE(found.st_mode), found.st_nlink) == (0o4755, 2)
    assert os.getxattr(root / "bin" / "ping", "security.capability")[:8] == b"\x01\0\0\x02\0 \0\0"
    directory = (root / "home").stat()
    assert (stat.S_IMODE(directory.st_mode), directory.st_gid, directory.st_mtime) == (
        0o2750,
        100,
        1_000_000_001,
    )
    assert os.readlink(root / "sbin" / "init") == "../bin/busybox"
    assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777


def test_nothing_is_written_outside_through_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("untouched")
    absolute = member("escape", tarfile.SYMTYPE, 0o777)
    absolute.linkname = str(outside)
    through = member("escape/file", tarfile.REGTYPE, 0o644)
    upward = member("upward", tarfile.SYMTYPE, 0o777)
    upward.linkname = "../outside"
    through_upward = member("upward/file", tarfile.REGTYPE, 0o644)
    named = member(f"{outside}/file", tarfile.REGTYPE, 0o644)
    for members in (
        [(absolute, b""), (through, b"written")],
        [(upward, b""), (through_upward, b"written")],
        [(named, b"written")],
    ):
        root = tmp_path / "image.root"
        try:
            unpack(tmp_path, busybox_rootfs.tarball("", members))
        except HypervisorError:
            pass
        else:
            assert root.is_dir()
        assert (outside / "file").read_text() == "untouched"
        assert [path.name for path in outside.iterdir()] == ["file"]
        subprocess.run(["rm", "-rf", str(root)], check=True)


def test_a_hard_link_cannot_reach_a_file_of_the_host(tmp_path: Path) -> None:
    hard = member("shadow", tarfile.LNKTYPE, 0o644)
    hard.linkname = "/etc/shadow"
    with pytest.raises(HypervisorError, match="shadow"):
        unpack(tmp_path, busybox_rootfs.tarball("", [(hard, b"")]))


def test_device_nodes_are_left_out(tmp_path: Path) -> None:
    disk, kmem = member("dev/vda", tarfile.BLKTYPE, 0o666), member("etc/kmem", tarfile.CHRTYPE, 0o666)
    disk.devmajor, disk.devminor, kmem.devmajor, kmem.devminor = 254, 0, 1, 1
    pipe = member("etc/pipe", tarfile.FIFOTYPE, 0o666)
    root = unpack(tmp_path, busybox_rootfs.tarball("", [(disk, b""), (kmem, b""), (pipe, b"")]))
    assert not (root / "dev" / "vda").exists()
    assert not (root / "etc" / "kmem").exists()
    assert stat.S_ISFIFO((root / "etc" / "pipe").stat().st_mode)


def test_a_later_member_replaces_an_earlier_one(tmp_path: Path) -> None:
    again = member("etc/rc", tarfile.REGTYPE, 0o600)
    root = unpack(tmp_path, busybox_rootfs.tarball("", [(again, b"new")]))
    assert (root / "etc" / "rc").read_text() == "new"
    link = member("etc/rc", tarfile.SYMTYPE, 0o777)
    link.linkname = "inittab"
    subprocess.run(["rm", "-rf", str(root)], check=True)
    root = unpack(tmp_path, busybox_rootfs.tarball("", [(link, b""), (again, b"new")]))
    assert not (root / "etc" / "rc").is_symlink()
    assert (root / "etc" / "inittab").read_text() != "new"


@pytest.mark.parametrize(
    ("member_name", "uid", "words"),
    [
        ("../outside", 0, "'../outside' points outside"),
        ("etc/file", 70000, "belongs to 70000:0; a container has ids"),
    ],
)
def test_what_no_container_can_have_is_refused(
    tmp_path: Path, member_name: str, uid: int, words: str
) -> None:
    bad = member(member_name, tarfile.REGTYPE, 0o644)
    bad.uid = uid
    with pytest.raises(HypervisorError, match=words):
        unpack(tmp_path, busybox_rootfs.tarball("", [(bad, b"")]))


def test_what_is_no_tarball_is_told(tmp_path: Path) -> None:
    with pytest.raises(HypervisorError, match="Image image is no root filesystem"):
        unpack(tmp_path, b"QFI\xfb" + b"\0" * 5000)
    subprocess.run(["rm", "-rf", str(tmp_path / "image.root")], check=True)
    with pytest.raises(HypervisorError, match="Image image is no root filesystem"):
        unpack(tmp_path, busybox_rootfs.tarball("gz")[:300_000])
    with pytest.raises(HypervisorError, match="has the disk format qcow2; a container starts from rootfs"):
        unpack(tmp_path, b"", "qcow2")
