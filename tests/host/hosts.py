"""Hosts of a small network: a namespace each, on a switch for each zone, the switches joined by one cable. No way out."""

from __future__ import annotations

import secrets
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
PREFIX = "10.77.0"


def ip(*words: object) -> None:
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True)


class Hosts:
    def __init__(self) -> None:
        self._mark = f"pt-{secrets.token_hex(3)}"
        self._spaces: list[str] = []
        self._hub = self._space("hub")
        self._zones: set[int] = set()
        self.addresses: dict[str, str] = {}
        """By the host's name."""

    def _space(self, name: str) -> str:
        space = f"{self._mark}-{name}"
        ip("netns", "add", space)
        self._spaces.append(space)
        ip("-n", space, "link", "set", "lo", "up")
        return space

    def space(self, host: str) -> str:
        """The namespace of a host."""
        return f"{self._mark}-{host}"

    def add(self, host: str, zone: int) -> str:
        """A host in that zone; its address."""
        if zone not in self._zones:
            self._zones.add(zone)
            ip("-n", self._hub, "link", "add", f"zone{zone}", "type", "bridge")
            ip("-n", self._hub, "link", "set", f"zone{zone}", "up")
            if len(self._zones) == 2:
                self._cable("west", self._hub, "east", self._hub)
                for end, each in zip(("west", "east"), sorted(self._zones), strict=True):
                    ip("-n", self._hub, "link", "set", end, "master", f"zone{each}")
        space, port = self._space(host), f"p{len(self.addresses)}"
        self._cable(port, self._hub, "eth0", space)
        ip("-n", self._hub, "link", "set", port, "master", f"zone{zone}")
        address = self.addresses[host] = f"{PREFIX}.{len(self.addresses) + 1}"
        ip("-n", space, "address", "add", f"{address}/24", "dev", "eth0")
        return address

    def _cable(self, one: str, in_one: str, other: str, in_other: str) -> None:
        ip("-n", in_one, "link", "add", "name", one, "type", "veth", "peer", "name", other, "netns", in_other)
        for end, space in ((one, in_one), (other, in_other)):
            # This kernel does not compute checksums that it has put off.
            offload = ["ip", "netns", "exec", space, "ethtool", "-K", end, "tx", "off"]
            subprocess.run(offload, check=True, capture_output=True)
            ip("-n", space, "link", "set", end, "up")

    def cut(self) -> None:
        """The cable between the zones is pulled."""
        ip("-n", self._hub, "link", "set", "west", "down")

    def heal(self) -> None:
        ip("-n", self._hub, "link", "set", "west", "up")

    def inside(self, host: str, work: Callable[[], T]) -> T:
        """What `work` returns; whatever it connects to, it does from that host."""
        from pyroute2 import netns

        outcome: list[T] = []
        failure: list[BaseException] = []

        def run() -> None:
            try:
                netns.setns(self.space(host))
                outcome.append(work())
            except BaseException as error:
                failure.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return outcome[0]

    def remove(self) -> None:
        for space in self._spaces:
            subprocess.run(["ip", "netns", "del", space], capture_output=True)


@contextmanager
def hosts() -> Iterator[Hosts]:
    made = Hosts()
    try:
        yield made
    finally:
        made.remove()
