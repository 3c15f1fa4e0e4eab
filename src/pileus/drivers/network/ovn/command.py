"""Programs of the host that the engine calls: iproute2, ovsdb-tool, ovs-ofctl."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pileus.drivers import netns
from pileus.services.network.driver import NetworkError


async def run(
    *argv: str, stdin: str = "", env: Mapping[str, str] | None = None, timeout: float = 10.0
) -> str:
    """What the program prints; `NetworkError` with what it complained of when it fails."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=env,
        )
    except FileNotFoundError as error:
        raise NetworkError(f"{argv[0]} is not installed on this host") from error
    try:
        async with asyncio.timeout(timeout):
            output, complaint = await process.communicate(stdin.encode())
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    if process.returncode != 0:
        text = complaint.decode(errors="replace").strip() or f"exit status {process.returncode}"
        raise NetworkError(f"`{' '.join(argv)}` failed: {text}")
    return output.decode()


async def ip(*lines: str, inside: str = "") -> None:
    """Run lines of `ip` in one process, in the namespace of that name ("" for the host's)."""
    where = ("-n", inside) if inside else ()
    await run("ip", *where, "-batch", "-", stdin="\n".join(lines) + "\n")


async def show(*arguments: str, inside: str = "") -> list[dict[str, Any]]:
    """What `ip` lists, in the namespace of that name ("" for the host's)."""
    where = ("-n", inside) if inside else ()
    found: list[dict[str, Any]] = json.loads(await run("ip", *where, "-json", *arguments) or "[]")
    return found


async def forget_neighbours(link: str, ips: Iterable[str], inside: str = "") -> None:
    """Have the kernel ask anew who holds these addresses on a link. What it is asking for already is left
    alone: who waits for the answer would be told that there is no such host."""
    answered = "nud reachable nud stale nud delay nud probe"
    await ip(*(f"neighbour flush to {each} dev {link} {answered}" for each in ips), inside=inside)


async def add_netns(name: str) -> None:
    await ip(f"netns add {name}")
    await ip("link set lo up", inside=name)


async def remove_netns(name: str) -> None:
    """Remove a named namespace, also its bare name that a reboot or a crash left behind."""
    if netns.exists(name):
        await ip(f"netns del {name}")
