"""Programs of the host that the engine calls: iproute2, ovsdb-tool, ovs-ofctl."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pileus.drivers import netns, program
from pileus.services.network.driver import NetworkError


async def run(
    *argv: str, stdin: str = "", env: Mapping[str, str] | None = None, timeout: float = 10.0
) -> str:
    """What the program prints; `NetworkError` with what it complained of when it fails."""
    try:
        return (await program.run(*argv, stdin=stdin.encode(), env=env, seconds=timeout)).decode()
    except program.ProgramError as error:
        raise NetworkError(f"{error} (`{' '.join(argv)}`)") from error


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
