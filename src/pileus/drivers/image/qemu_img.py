"""Converting disks with QEMU's own tool: held to limits, and gone when we are."""

from __future__ import annotations

from pathlib import Path

from pileus.drivers import program
from pileus.services.image.driver import StoreError

MEMORY_BYTES = 1 << 30
CPU_SECONDS = 3600


class QemuImg:
    """`qemu-img convert` under rlimits (util-linux's prlimit), and ended with its parent (setpriv)."""

    async def convert(self, source: Path, source_format: str, target: Path, target_format: str) -> None:
        limits = ["prlimit", f"--as={MEMORY_BYTES}", f"--cpu={CPU_SECONDS}", "--core=0"]
        convert = ["qemu-img", "convert", "-f", source_format, "-O", target_format, str(source), str(target)]
        try:
            await program.run("setpriv", "--pdeathsig", "KILL", *limits, *convert, seconds=None)
        except program.ProgramError as error:
            reason = error.complaint.splitlines()[-1].removeprefix("qemu-img: ")
            raise StoreError(f"The image can't be converted: {reason}.") from error
