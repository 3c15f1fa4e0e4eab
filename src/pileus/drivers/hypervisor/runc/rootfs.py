"""Root filesystems: from an image's tarball to a directory, and which init is in it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec

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
_CHUNK_BYTES = 1 << 20
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
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        unpack.__file__,
        str(tarball),
        str(directory),
        str(max_bytes),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, complaint = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise HypervisorError(f"Image {image.id} is no root filesystem: {complaint.decode().strip()}")
    return directory


async def packed(directory: Path, first_id: int) -> AsyncGenerator[bytes, None]:
    """The root filesystem of a container whose ids begin at `first_id`, as a tarball."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        pack.__file__,
        str(directory),
        str(first_id),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        while chunk := await process.stdout.read(_CHUNK_BYTES):
            yield chunk
        complaint = await process.stderr.read()
        if await process.wait() != 0:
            raise HypervisorError(f"The container's files could not be read: {complaint.decode().strip()}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


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
