"""Converting disks with QEMU's own tool: held to limits, and gone when we are."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pileus.services.image.driver import StoreError

MEMORY_BYTES = 1 << 30
CPU_SECONDS = 3600


class QemuImg:
    """`qemu-img convert` under rlimits (util-linux's prlimit), and ended with its parent (setpriv)."""

    async def convert(self, source: Path, source_format: str, target: Path, target_format: str) -> None:
        limits = ["prlimit", f"--as={MEMORY_BYTES}", f"--cpu={CPU_SECONDS}", "--core=0"]
        convert = ["qemu-img", "convert", "-f", source_format, "-O", target_format, str(source), str(target)]
        try:
            process = await asyncio.create_subprocess_exec(
                "setpriv",
                "--pdeathsig",
                "KILL",
                *limits,
                *convert,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except FileNotFoundError as error:
            raise StoreError("Images are converted with qemu-img, which this host lacks.") from error
        try:
            _, said = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode:
            words = said.decode(errors="replace").strip().splitlines()
            reason = words[-1].removeprefix("qemu-img: ") if words else f"exit status {process.returncode}"
            raise StoreError(f"The image can't be converted: {reason}.")
