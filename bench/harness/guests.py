"""Real servers of a running cloud, each with a floating IP from the start, timed from the POST on."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import cloud as harness
from pileus.testing.cloud import Cloud
from pileus.testing.project import Project

BOOT_SECONDS = 120.0
LOOKS_PER_SECOND = 50
"""Of all who look together: what they cost the server is not what is measured."""


@dataclass(frozen=True)
class Taken:
    """Seconds from the (first) POST until the server was, or all of them were, so far."""

    active: float
    ssh: float
    waited: float
    """For a processor that others had, of that; counted for virtual machines alone."""


class Guests:
    """Boots servers on one network behind a router, and deletes them again."""

    def __init__(self, cloud: Cloud, directory: Path) -> None:
        self._api = harness.Cloud(cloud.port, cloud.state)
        self._api.log_in()
        self._state = cloud.state
        self._project = project = Project(cloud.connect(), directory)
        network = project.connection.network
        compute = project.connection.compute
        self._public = network.find_network("public", ignore_missing=False).id
        self._network = project.network("bench", "10.44.0.0/24", router=project.router("bench"))
        self._group = project.security_group("bench", "tcp:22")
        self._flavor = compute.find_flavor("m1.nano", ignore_missing=False).id
        compute.create_keypair(name="bench")

    def boot(self, image: str) -> Taken:
        return self.boot_many(image, 1)

    def boot_many(self, image: str, count: int) -> Taken:
        """So many at once."""
        network = self._project.connection.network
        image_id = self._project.connection.image.find_image(image, ignore_missing=False).id
        ports = [
            network.create_port(network_id=self._network, security_group_ids=[self._group]).id
            for _ in range(count)
        ]
        ips = [network.create_ip(floating_network_id=self._public, port_id=port) for port in ports]
        orders = [
            {
                "name": f"bench-{number}",
                "imageRef": image_id,
                "flavorRef": self._flavor,
                "key_name": "bench",
                "networks": [{"port": port}],
            }
            for number, port in enumerate(ports)
        ]
        pause = count / LOOKS_PER_SECOND
        with ThreadPoolExecutor(count) as pool:
            began = time.perf_counter()
            active = list(pool.map(lambda order: self._make(order, pause), orders))
            servers = [server_id for server_id, _ in active]
            answered = list(pool.map(until_ssh, [ip.floating_ip_address for ip in ips]))
        pidfiles = self._state.glob("hypervisor/qemu/guests/*/qemu.pid")
        waited = max((seconds_waited(int(each.read_text())) for each in pidfiles), default=0.0)
        for ip in ips:
            network.delete_ip(ip.id)
        self._project.delete(*servers)
        for port in ports:
            network.delete_port(port)
        return Taken(active=max(at for _, at in active) - began, ssh=max(answered) - began, waited=waited)

    def _make(self, order: dict[str, Any], pause: float) -> tuple[str, float]:
        """The id of a new server, and when it was ACTIVE."""
        answer = self._api.request("POST", "/compute/v2.1/servers", {"server": order}, expect=202)
        server_id = str(answer.json()["server"]["id"])

        def look() -> bool:
            server = self._api.request("GET", f"/compute/v2.1/servers/{server_id}", expect=200).json()[
                "server"
            ]
            if server["status"] == "ERROR":
                raise SystemExit(f"server {server_id} is in ERROR: {server['fault']}")
            return bool(server["status"] == "ACTIVE")

        return server_id, when(look, pause, f"server {server_id} to be ACTIVE")


def seconds_waited(pid: int) -> float:
    """How long the busiest thread of a process, a machine's processor, was ready to run and could not."""
    threads = ((task / "schedstat").read_text().split() for task in Path(f"/proc/{pid}/task").iterdir())
    _, waited = max((int(ran), int(waited)) for ran, waited, _ in threads)
    return waited / 1e9


def until_ssh(address: str) -> float:
    """When an SSH server there had said its first words."""

    def look() -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((address, 22), timeout=0.25) as connection,
        ):
            connection.settimeout(BOOT_SECONDS)
            return connection.recv(4) == b"SSH-"
        return False

    return when(look, 1 / LOOKS_PER_SECOND, f"SSH at {address}")


def when(look: Callable[[], bool], pause: float, what: str) -> float:
    """When it was first so, asked again after so many seconds."""
    deadline = time.monotonic() + BOOT_SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {BOOT_SECONDS:g} s in vain for {what}")
        time.sleep(pause)
    return time.perf_counter()
