"""The micro guest's userland: busybox, dropbear and a few tools, picked from Debian packages."""

from __future__ import annotations

import re
import shutil
from importlib import resources
from pathlib import Path

from pileus.cli.image_build.packages import ImageBuildError, PackageStore, run, unpack

PROGRAMS: dict[str, tuple[str, ...]] = {
    "busybox-static": ("bin/busybox",),
    "dropbear-bin": ("usr/sbin/dropbear", "usr/bin/dropbearkey", "usr/bin/dbclient"),
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
"""Package: the files of it that the guest has. Shared libraries come along as the dynamic loader asks for them."""

FULL_ONLY = ("curl", "iproute2")
"""Left out of the ramdisk, which must fit a small guest's memory: they and their libraries are half of the
userland. There busybox stands in for them."""

LINKS: dict[str, str] = {
    "usr/bin/ping6": "ping",
    "usr/bin/ping4": "ping",
    "usr/bin/ssh": "dbclient",
    "usr/sbin/mkfs.ext2": "mke2fs",
    "usr/sbin/mkfs.ext3": "mke2fs",
    "usr/sbin/mkfs.ext4": "mke2fs",
    "usr/sbin/mkfs.vfat": "mkfs.fat",
    "usr/sbin/fsck.ext4": "e2fsck",
    "usr/sbin/init": "../bin/busybox",
    "etc/mtab": "../proc/self/mounts",
    "var/run": "../run",
    "var/lock": "../run/lock",
}

LIBRARY_PATH = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/libexec/sudo")
LOADER = "lib64/ld-linux-x86-64.so.2"
MERGED = ("bin", "sbin", "lib", "lib64")
"""Top directories that are links to the ones of the same name below /usr."""

EMPTY_DIRECTORIES: dict[str, int] = {
    "dev": 0o755, "proc": 0o555, "sys": 0o555, "run": 0o755, "mnt": 0o755, "root": 0o700, "tmp": 0o1777,
    "var/tmp": 0o1777, "var/lib/micro": 0o755, "var/lib/dhcpcd": 0o755, "var/log": 0o755, "etc/dropbear": 0o700,
    "usr/local/bin": 0o755, "usr/local/sbin": 0o755, "home/cirros": 0o755, "media": 0o755, "opt": 0o755,
}
HOME_OWNER = 1000
PRIVATE: dict[str, int] = {"etc/shadow": 0o600, "etc/sudoers": 0o440, "etc/sudoers.d/cirros": 0o440}


def guest_files() -> Path:
    """The guest's own scripts and settings, as they stand in this package."""
    return Path(str(resources.files("pileus.cli.image_build") / "guest"))


def stage_packages(store: PackageStore, into: Path) -> None:
    """Unpack the packages that the userland is picked from, with all they depend on."""
    unpack(store.closure(PROGRAMS), into)


def make_root(stage: Path, root: Path, *, full: bool) -> None:
    """Lay out a root file system from unpacked packages; without `full`, the small one for a ramdisk."""
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name, mode in EMPTY_DIRECTORIES.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(mode)
    for package, files in PROGRAMS.items():
        if full or package not in FULL_ONLY:
            for name in files:
                _pick(stage, name, root)
    _add_libraries(stage, root)
    link_applets(stage, root)
    for name, target in LINKS.items():
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(target)
    _add_own_files(root)


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
    if not loader.exists():    # an absolute link, which leads out of the stage
        loader = stage / str(loader.readlink()).lstrip("/")
    binaries = [name for files in PROGRAMS.values() for name in files if (root / name).exists()]
    directories = ":".join(str(stage / directory) for directory in LIBRARY_PATH)
    needed: set[str] = set()
    for name in binaries:
        if name == "bin/busybox":    # static
            continue
        needed |= parse_loader_list(run(loader, "--inhibit-cache", "--library-path", directories, "--list", stage / name))
    for path in sorted(needed):
        _pick(stage, str(Path(path).relative_to(stage)), root)
    _pick(stage, str(loader.relative_to(stage)), root)
    link = root / LOADER
    if not link.exists():
        link.symlink_to(f"../lib/x86_64-linux-gnu/{loader.name}")


def parse_loader_list(printed: str) -> set[str]:
    """The files named by the dynamic loader's `--list`; raises ImageBuildError if it misses one."""
    if missing := re.search(r"^\s*(\S+) => not found", printed, re.MULTILINE):
        raise ImageBuildError(f"the Debian packages of the guest lack the library {missing.group(1)}")
    return set(re.findall(r"=> (/\S+) \(0x", printed))


def link_applets(stage: Path, root: Path) -> None:
    """A link for each of busybox's programs that no real one stands for."""
    for line in run(stage / "bin/busybox", "--list-full").splitlines():
        if line in ("linuxrc", "usr/sbin/dpkg", "usr/bin/dpkg", "usr/bin/dpkg-deb", "usr/bin/rpm"):
            continue
        path = root / (line if line.startswith("usr/") else f"usr/{line}")
        name = path.name
        if not any((root / "usr" / folder / name).exists() for folder in ("bin", "sbin")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to("busybox" if path.parent.name == "bin" else "../bin/busybox")


def _add_own_files(root: Path) -> None:
    own = guest_files() / "rootfs"
    for source in sorted(own.rglob("*")):
        if source.is_file():
            name = source.relative_to(own)
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            # A wheel does not keep modes, so scripts are known by their first line.
            target.chmod(PRIVATE.get(str(name), 0o755 if source.read_bytes().startswith(b"#!") else 0o644))
    shutil.chown(root / "home/cirros", HOME_OWNER, HOME_OWNER)
