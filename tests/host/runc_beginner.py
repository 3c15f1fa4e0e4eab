"""A process that starts a guest, read from stdin, and may be killed over it: `runc_beginner DIRECTORY`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from pileus.drivers.hypervisor.runc import RuncHypervisor
from pileus.services.compute.driver import Guest, Power


async def main() -> None:
    directory = Path(sys.argv[1])
    guest = msgspec.json.decode(sys.stdin.buffer.read(), type=Guest)
    driver = RuncHypervisor(directory / "state", directory / "run")
    await driver.start()
    print("begin", flush=True)
    await driver.ensure(guest, Power.RUNNING, 1)
    await asyncio.Event().wait()


asyncio.run(main())
