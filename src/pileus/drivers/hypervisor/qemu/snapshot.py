"""A guest's root disk at one moment, as a file of its own."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from pileus.drivers.hypervisor.qemu.disks import run_tool, virtual_bytes
from pileus.drivers.hypervisor.qemu.runner import Runner
from pileus.services.compute.driver import HypervisorError

ROOT_NODE = "disk0"
"""As `lib.qemu_argv` names the first disk."""
_NAME = "snapshot"
_FDSET = 4711
_LOOK_SECONDS = 0.1
_COPY_SECONDS = 24 * 3600.0


async def of_stopped(disk: Path, target: Path) -> None:
    """Nothing writes to the disk."""
    await run_tool("qemu-img", "convert", "-q", "-O", "qcow2", str(disk), str(target), seconds=_COPY_SECONDS)


async def of_running(runner: Runner, disk: Path, target: Path) -> None:
    """By a backup job of QEMU's own: it copies what is on the disk when it begins, however the guest writes on.

    QEMU has no rights to files any more, so it is given this one open.
    """
    await _clear(runner)
    await run_tool("qemu-img", "create", "-q", "-f", "qcow2", str(target), str(virtual_bytes(disk, "qcow2")))
    with await asyncio.to_thread(open, target, "r+b") as file:
        await runner.add_file(_FDSET, file.fileno())
    try:
        storage = {"driver": "file", "filename": f"/dev/fdset/{_FDSET}"}
        await runner.execute("blockdev-add", **{"driver": "qcow2", "node-name": _NAME, "file": storage})
        backup: dict[str, Any] = {"job-id": _NAME, "device": ROOT_NODE, "target": _NAME, "sync": "full"}
        await runner.execute("blockdev-backup", **backup, **{"auto-dismiss": False})
        async with asyncio.timeout(_COPY_SECONDS):
            await _concluded(runner)
    except TimeoutError as error:
        raise HypervisorError("QEMU did not copy the disk within a day.") from error
    finally:
        await _clear(runner)


async def _concluded(runner: Runner) -> None:
    """Returns when the copy is whole; raises `HypervisorError` where it is not to be had."""
    while True:
        job = await _job(runner)
        if job["status"] == "concluded":
            break
        await asyncio.sleep(_LOOK_SECONDS)
    if job.get("error"):
        raise HypervisorError(f"QEMU could not copy the disk: {job['error']}")


async def _job(runner: Runner) -> Any:
    for job in await runner.execute("query-jobs"):
        if job["id"] == _NAME:
            return job
    raise HypervisorError("QEMU has given up copying the disk.")


async def _clear(runner: Runner) -> None:
    """Ends what is left of this attempt, or of one whose process died."""
    with contextlib.suppress(HypervisorError):
        while True:
            job = await _job(runner)
            if job["status"] == "concluded":
                await runner.execute("job-dismiss", id=_NAME)
            else:
                with contextlib.suppress(HypervisorError):
                    await runner.execute("job-cancel", id=_NAME)
                await asyncio.sleep(_LOOK_SECONDS)
    for command, arguments in (
        ("blockdev-del", {"node-name": _NAME}),
        ("remove-fd", {"fdset-id": _FDSET}),
    ):
        with contextlib.suppress(HypervisorError):
            await runner.execute(command, **arguments)
