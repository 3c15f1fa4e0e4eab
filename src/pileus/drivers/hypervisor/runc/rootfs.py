"""Root filesystems: from an image's tarball to a directory, and which init is in it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import msgspec

from pileus.drivers import program
from pileus.drivers.hypervisor.runc import pack, unpack
from pileus.services.compute.driver import HypervisorError, Image

DISK_FORMAT = "rootfs"

INITS = ("/sbin/init", "/etc/init", "/bin/init", "/bin/sh")
"""Where process 1 is looked for, in this order: the Linux kernel's own (init/main.c)."""

POWER_OFF = {
    "systemd": signal.SIGRTMIN + 3,
    "busybox": signal.SIGUSR2,
}
"""What asks an init to power off, by the name of the program behind it: systemd(1), "Signals", and busybox's
init. Any other gets SIGPWR, which System V's init and what follows it heed, and which LXC sends too."""

_RESERVE_BYTES = 1 << 30
_MAX_LINKS = 40


class Init(msgspec.Struct, frozen=True):
    path: str
    power_off: int
    """The signal that asks it to power off."""


async def unpack_image(image: Image, tarball: Path) -> Path:
    """Unpack into a directory beside it. Raises `HypervisorError`: what is wrong with the tarball."""
    if image.disk_format != DISK_FORMAT:
        raise HypervisorError(
            f"Image {image.id} has the disk format {image.disk_format}; "
            f"a container starts from {DISK_FORMAT}."
        )
    directory = tarball.with_name(f"{tarball.name}.root")
    os.mkdir(directory, mode=0o755)
    max_bytes = max(0, shutil.disk_usage(directory).free - _RESERVE_BYTES)
    command = (sys.executable, "-I", unpack.__file__, tarball, directory, str(max_bytes))
    try:
        await program.run(*command, seconds=None)
    except program.ProgramError as error:
        raise HypervisorError(f"Image {image.id} is no root filesystem: {error.complaint}") from error
    return directory


async def packed(directory: Path, first_id: int) -> AsyncGenerator[bytes, None]:
    """The root filesystem of a container whose ids begin at `first_id`, as a tarball."""
    try:
        async with aclosing(
            program.output(sys.executable, "-I", pack.__file__, directory, str(first_id))
        ) as chunks:
            async for chunk in chunks:
                yield chunk
    except program.ProgramError as error:
        raise HypervisorError(f"The container's files could not be read: {error.complaint}") from error


def find_init(root: Path) -> Init:
    """Which program in this root filesystem is process 1, and how it is asked to power off."""
    for path in INITS:
        program = resolve(root, path)
        if program is not None and os.access(program, os.X_OK):
            return Init(path, POWER_OFF.get(program.name, signal.SIGPWR))
    raise HypervisorError(f"The image has no init: none of {', '.join(INITS)} is in its root filesystem.")


def resolve(root: Path, path: str) -> Path | None:
    """Where a path leads, as seen from inside: links are followed, but never out of `root`."""
    todo = [part for part in reversed(path.split("/")) if part]
    found: list[str] = []
    links = 0
    while todo:
        part = todo.pop()
        if part in (".", ".."):
            found = found[: len(found) - 1] if part == ".." else found
            continue
        here = root.joinpath(*found, part)
        try:
            target = os.readlink(here)
        except FileNotFoundError:
            return None
        except OSError:  # no link
            found.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            return None
        if target.startswith("/"):
            found = []
        todo.extend(step for step in reversed(target.split("/")) if step)
    return root.joinpath(*found)
