"""The micro guest's userland: busybox, dropbear and a few tools, picked from Debian packages.

busybox is there twice. The static one starts fastest and runs its own programs without starting a process;
the boot uses it. The dynamic one is the users' shell: it runs what PATH says, so that the real `ip`, `ping`
and `nc` are found.
"""

from __future__ import annotations

import re
import shutil
from importlib import resources
from pathlib import Path

import msgspec

from pileus.cli.image_build.packages import ImageBuildError, PackageStore, run, unpack

PROGRAMS: dict[str, tuple[str, ...]] = {
    "busybox": ("bin/busybox",),
    "dropbear-bin": ("usr/sbin/dropbear", "usr/bin/dbclient"),
    "openssh-sftp-server": ("usr/lib/openssh/sftp-server",),
    "sudo": ("usr/bin/sudo", "usr/libexec/sudo/sudoers.so", "usr/libexec/sudo/sudo_noexec.so"),
    "libpam-modules": ("lib/x86_64-linux-gnu/security/pam_permit.so",),
    "util-linux": ("bin/lsblk", "bin/findmnt", "sbin/blkid", "sbin/mkfs"),
    "e2fsprogs": ("sbin/mke2fs", "sbin/e2fsck", "sbin/resize2fs"),
    "dosfstools": ("sbin/mkfs.fat",),
    "netcat-traditional": ("bin/nc.traditional",),
    "dhcpcd-base": ("usr/sbin/dhcpcd",),
    "iputils-ping": ("bin/ping",),
    "iproute2": ("bin/ip",),
    "curl": ("usr/bin/curl",),
}
"""Package: the files of it that the guest has. Shared libraries come along as the loader asks for them."""

STATIC_BUSYBOX = "busybox-static"
BOOT_BUSYBOX = "usr/lib/micro/busybox"

FULL_ONLY = ("curl", "iproute2")
"""Left out of the ramdisk, which must fit a small guest's memory: they and their libraries are half of the
userland. There busybox stands in for them."""

LINKS: dict[str, str] = {
    "usr/bin/ping6": "ping",
    "usr/bin/ping4": "ping",
    "usr/bin/ssh": "dbclient",
    "usr/lib/micro/nc": "../../bin/nc.traditional",
    "usr/bin/mkfs.ext2": "mke2fs",
    "usr/bin/mkfs.ext3": "mke2fs",
    "usr/bin/mkfs.ext4": "mke2fs",
    "usr/bin/mkfs.vfat": "mkfs.fat",
    "usr/bin/fsck.ext4": "e2fsck",
    "usr/bin/init": "../lib/micro/busybox",
    "etc/mtab": "../proc/self/mounts",
    "var/run": "../run",
    "var/lock": "../run/lock",
}

LIBRARY_PATH = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/libexec/sudo")
LOADER = "lib64/ld-linux-x86-64.so.2"
MERGED = {"bin": "usr/bin", "sbin": "usr/bin", "usr/sbin": "bin", "lib": "usr/lib", "lib64": "usr/lib64"}
"""Directories that are links: all programs are in /usr/bin, which every user's PATH has."""

EMPTY_DIRECTORIES: dict[str, int] = {
    "dev": 0o755,
    "proc": 0o555,
    "sys": 0o555,
    "run": 0o755,
    "mnt": 0o755,
    "root": 0o700,
    "tmp": 0o1777,
    "var/tmp": 0o1777,
    "var/lib/micro": 0o755,
    "var/lib/dhcpcd": 0o755,
    "var/log": 0o755,
    "etc/dropbear": 0o700,
    "usr/local/bin": 0o755,
    "home/cirros": 0o755,
    "media": 0o755,
    "opt": 0o755,
}
UNWANTED_APPLETS = frozenset({"busybox", "linuxrc", "dpkg", "dpkg-deb", "rpm", "rpm2cpio"})
HOME_OWNER = 1000
SETUID = ("usr/bin/ping", "usr/bin/sudo")
PRIVATE: dict[str, int] = {"etc/shadow": 0o600, "etc/sudoers": 0o440, "etc/sudoers.d/cirros": 0o440}


def guest_files() -> Path:
    """The guest's own scripts and settings, as they stand in this package."""
    return Path(str(resources.files("pileus.cli.image_build") / "guest"))


class Packages(msgspec.Struct, frozen=True):
    archives: list[Path]
    static_busybox: Path


class Stage(msgspec.Struct, frozen=True):
    """Unpacked packages that a root file system is picked from."""

    packages: Path
    busybox: Path
    """The static one, which also runs on the host."""


def fetch(store: PackageStore) -> Packages:
    """The packages that the userland is picked from, with the libraries they depend on."""

    def wanted(name: str) -> bool:
        return name in PROGRAMS or (name.startswith(("lib", "zlib")) and not name.startswith("libperl"))

    # By itself, for the two busyboxes exclude each other as packages.
    (static_busybox,) = store.alone([STATIC_BUSYBOX])
    return Packages(store.closure(PROGRAMS, wanted), static_busybox)


def stage(packages: Packages, into: Path) -> Stage:
    """Unpack them."""
    unpack(packages.archives, into / "packages")
    unpack([packages.static_busybox], into / "static")
    return Stage(into / "packages", into / "static/bin/busybox")


def make_root(stage: Stage, root: Path, *, full: bool) -> None:
    """Lay out a root file system from unpacked packages; without `full`, the small one for a ramdisk."""
    make_skeleton(stage, root)
    for package, files in PROGRAMS.items():
        if full or package not in FULL_ONLY:
            for name in files:
                _pick(stage.packages, name, root)
    _add_libraries(stage.packages, root)
    _link_applets(root, stage.packages / "bin/busybox", "busybox")
    _link_applets(root, stage.busybox, f"../{BOOT_BUSYBOX.removeprefix('usr/')}")
    for name, target in LINKS.items():
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(target)
    for name in SETUID:
        (root / name).chmod(0o4755)
    _add_own_files(root)


def make_skeleton(stage: Stage, root: Path) -> None:
    """The directories of a root file system, and the static busybox that boots it."""
    for name, target in MERGED.items():
        link = root / name
        link.parent.mkdir(parents=True, exist_ok=True)
        (link.parent / target).mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    for name, mode in EMPTY_DIRECTORIES.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(mode)
    (root / BOOT_BUSYBOX).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(stage.busybox, root / BOOT_BUSYBOX)


def _pick(stage: Path, name: str, root: Path) -> None:
    source = stage / name
    if not source.exists():
        raise ImageBuildError(
            f"none of the Debian packages has /{name} any more: is this host's Debian newer than Pileus?"
        )
    target = root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def _add_libraries(stage: Path, root: Path) -> None:
    loader = stage / LOADER
    if not loader.exists():  # an absolute link, which leads out of the stage
        loader = stage / str(loader.readlink()).lstrip("/")
    binaries = [name for files in PROGRAMS.values() for name in files if (root / name).exists()]
    directories = ":".join(str(stage / directory) for directory in LIBRARY_PATH)
    needed: set[str] = set()
    for name in binaries:
        printed = run(loader, "--inhibit-cache", "--library-path", directories, "--list", stage / name)
        needed |= parse_loader_list(printed, stage)
    for name in sorted(needed):
        _pick(stage, name, root)
    _pick(stage, str(loader.relative_to(stage)), root)
    link = root / LOADER
    if not link.exists():
        link.symlink_to(f"../lib/x86_64-linux-gnu/{loader.name}")


def parse_loader_list(printed: str, stage: Path) -> set[str]:
    """The files that the dynamic loader's `--list` found, relative to `stage`. Raises ImageBuildError if one
    is not there: the loader then looks among the host's own, or says that it is not found."""
    names: set[str] = set()
    for library, found in re.findall(r"^\s*(\S+) => (.*?)(?: \(0x\w+\))?$", printed, re.MULTILINE):
        if not Path(found).is_relative_to(stage):
            raise ImageBuildError(f"the Debian packages of the guest lack the library {library}")
        names.add(str(Path(found).relative_to(stage)))
    return names


def _link_applets(root: Path, busybox: Path, target: str) -> None:
    """A link for each of busybox's programs that nothing stands for yet."""
    for name in run(busybox, "--list").split():
        link = root / "usr/bin" / name
        if name not in UNWANTED_APPLETS and not link.exists() and not link.is_symlink():
            link.symlink_to(target)


def _add_own_files(root: Path) -> None:
    own = guest_files() / "rootfs"
    for source in sorted(own.rglob("*")):
        if source.is_file():
            name = source.relative_to(own)
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)  # an applet's link, which would lead the text into busybox itself
            shutil.copyfile(source, target)
            # A wheel does not keep modes, so scripts are known by their first line.
            target.chmod(PRIVATE.get(str(name), 0o755 if source.read_bytes().startswith(b"#!") else 0o644))
    shutil.chown(root / "home/cirros", HOME_OWNER, HOME_OWNER)
