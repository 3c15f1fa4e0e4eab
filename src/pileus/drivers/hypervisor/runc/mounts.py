"""The mounts under a container's root: system calls that Python does not offer, as functions of paths."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_OPEN_TREE_CLONE = 1
_MOUNT_ATTR_IDMAP = 0x100000
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_MS_RDONLY = 0x1
_MS_NOSUID = 0x2
_MS_NODEV = 0x4
_MS_NOEXEC = 0x8
_MS_REMOUNT = 0x20
_MS_BIND = 0x1000
_UMOUNT_NOFOLLOW = 0x8

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


def bind(source: str, target: Path) -> None:
    """Show a file or directory at another, existing place. A namespace's file, so bound, keeps it alive."""
    _mount(source, target, None, _MS_BIND, None)


def bind_read_only(source: Path, target: Path) -> None:
    """Show a directory for reading alone: no device, program or setuid bit in it counts."""
    bind(str(source), target)
    restrictions = _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _mount("", target, None, _MS_REMOUNT | _MS_BIND | restrictions, None)


def bind_with_ids(source: Path, target: Path, user_namespace: Path) -> None:
    """Show `source` at `target` with each owner shifted as the user namespace maps it (mount_setattr(2)).

    Nothing is copied nor changed on disk. Needs Linux 5.12, and 5.19 where an overlay stands on it.
    """
    namespace = os.open(user_namespace, os.O_RDONLY | os.O_CLOEXEC)
    tree = -1
    try:
        tree = _checked(_libc.open_tree(_AT_FDCWD, bytes(source), _OPEN_TREE_CLONE | os.O_CLOEXEC), source)
        attributes = _MountAttributes(_MOUNT_ATTR_IDMAP, 0, 0, namespace)
        size = ctypes.sizeof(attributes)
        _checked(_libc.mount_setattr(tree, b"", _AT_EMPTY_PATH, ctypes.byref(attributes), size), source)
        _checked(_libc.move_mount(tree, b"", _AT_FDCWD, bytes(target), _MOVE_MOUNT_F_EMPTY_PATH), target)
    finally:
        os.close(namespace)
        if tree >= 0:
            os.close(tree)


def overlay(lower: Path, upper: Path, work: Path, target: Path) -> None:
    """A writable view of `lower`, whose changes stay in `upper`."""
    _mount("overlay", target, "overlay", _MS_NODEV, f"lowerdir={lower},upperdir={upper},workdir={work}")


def unmount(target: Path) -> None:
    """Take all mounts off `target`; what is not mounted, a link, or not there is no error."""
    while _libc.umount2(bytes(target), _UMOUNT_NOFOLLOW) == 0:
        pass
    number = ctypes.get_errno()
    if number not in (errno.EINVAL, errno.ENOENT):
        raise OSError(number, os.strerror(number), str(target))


def _mount(source: str, target: Path, kind: str | None, flags: int, data: str | None) -> None:
    texts = [None if text is None else text.encode() for text in (source, kind, data)]
    _checked(_libc.mount(texts[0], bytes(target), texts[1], ctypes.c_ulong(flags), texts[2]), target)


def _checked(outcome: int, path: Path) -> int:
    if outcome < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    return outcome
