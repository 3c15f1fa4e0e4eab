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
LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Taken:
    """Seconds from the (first) POST until the server was, or all of them were, so far."""

    active: float
    ssh: float


class Guests:
    """Boots servers on one network behind a router, and deletes them again."""

    def __init__(self, cloud: Cloud, directory: Path) -> None:
        self._api = harness.Cloud(cloud.port, cloud.state)
        self._api.log_in()
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
        with ThreadPoolExecutor(2 * count) as pool:
            began = time.perf_counter()
            # SSH is looked for only once the server is ACTIVE: asking before costs the guest its processor.
            active = list(pool.map(self._make, orders))
            servers = [server_id for server_id, _ in active]
            answered = list(pool.map(until_ssh, [ip.floating_ip_address for ip in ips]))
        for ip in ips:
            network.delete_ip(ip.id)
        self._project.delete(*servers)
        for port in ports:
            network.delete_port(port)
        return Taken(active=max(at for _, at in active) - began, ssh=max(answered) - began)

    def _make(self, order: dict[str, Any]) -> tuple[str, float]:
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

        return server_id, when(look, f"server {server_id} to be ACTIVE")


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

    return when(look, f"SSH at {address}")


def when(look: Callable[[], bool], what: str) -> float:
    """When it was first so."""
    deadline = time.monotonic() + BOOT_SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {BOOT_SECONDS:g} s in vain for {what}")
        time.sleep(LOOK_SECONDS)
    return time.perf_counter()
