"""An object store on several hosts: four storage nodes in two zones and two proxies, as processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import pileus
from pileus.app import Composer
from pileus.cli import make
from pileus.drivers.object.cluster.member import Stamp
from pileus.drivers.object.node.cluster import remote_objects
from pileus.drivers.object.node.rings import Rings
from pileus.drivers.object.wire.handshake import read_key
from pileus.drivers.object.wire.members import Peers
from pileus.testing.cloud import until

from .hosts import Hosts, hosts

pytestmark = [pytest.mark.host, pytest.mark.timeout(400)]
ZONE_OF = {"n1": 1, "n2": 1, "n3": 2, "n4": 2, "p1": 1, "p2": 2}
NODES = ("n1", "n2", "n3", "n4")
PORT = 8900
UP_SECONDS = SETTLED_SECONDS = 90.0
SECRET = "secret of the test"
CONTAINER = "photos"


class Cluster:
    def __init__(self, folder: Path, hosts: Hosts) -> None:
        self.folder, self.hosts = folder, hosts
        self.rings = folder / "etc"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.account = ""
        self.environ = {**os.environ, "PYTHONPATH": str(Path(pileus.__file__).parents[1])}

    def pileus(self, *words: object) -> None:
        done = CliRunner().invoke(make(Composer), [str(word) for word in words])
        assert done.exit_code == 0, done.output

    def lay(self) -> None:
        self.rings.mkdir()
        self.pileus("keys", "cluster", self.rings / "cluster.key")
        devices = [f"r1z{ZONE_OF[n]}-{self.hosts.addresses[n]}:6200/sdb1" for n in NODES]
        for ring in ("object", "container"):
            builder = self.rings / f"{ring}.builder"
            self.pileus("ring", "create", builder, "--part-power", 5, "--replicas", 3)
            self.pileus("ring", "add", builder, *(word for each in devices for word in (each, 100)))
            self.pileus("ring", "rebalance", builder, "--seed", 1)
        (self.folder / "pileus.toml").write_text(f'[object_store]\nrings = "{self.rings}"\n')
        for node in NODES:
            (self.folder / node / "sdb1").mkdir(parents=True)

    def _spawn(self, host: str, *words: object) -> None:
        command = [
            "ip",
            "netns",
            "exec",
            self.hosts.space(host),
            sys.executable,
            "-m",
            "pileus",
            *map(str, words),
        ]
        with open(self.folder / f"{host}.log", "ab") as log:
            self.processes[host] = subprocess.Popen(command, env=self.environ, stdout=log, stderr=log)

    def start_node(self, node: str) -> None:
        address = self.hosts.addresses[node]
        key = ("--rings", self.rings, "--key", self.rings / "cluster.key")
        where = ("--devices", self.folder / node, "--listen", f"{address}:6200", "--recon", f"{address}:6201")
        self._spawn(node, "object-server", *where, *key, "--interval", 1)

    def start_proxy(self, proxy: str) -> None:
        where = ("--state", self.folder / proxy, "--config", self.folder / "pileus.toml")
        listen = ("--listen", f"{self.hosts.addresses[proxy]}:{PORT}", "--only", "object-store,identity")
        self._spawn(proxy, "up", "--foreground", *where, *listen)

    def await_up(self, *names: str) -> None:
        for name in names:
            port = PORT if name.startswith("p") else 6201

            def answers(name: str = name, port: int = port) -> bool:
                assert self.processes[name].poll() is None, (self.folder / f"{name}.log").read_text()
                with contextlib.suppress(OSError):
                    return self.request(name, "GET", "/healthcheck", port=port)[0] == 200
                return False

            until(answers, UP_SECONDS, f"{name} to answer")

    def request(
        self, host: str, method: str, path: str, body: bytes = b"", port: int = PORT, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        """From the host itself, over a connection of its own."""

        def ask() -> tuple[int, bytes, dict[str, str]]:
            connection = http.client.HTTPConnection(self.hosts.addresses[host], port, timeout=90)
            with contextlib.closing(connection):
                connection.request(
                    method, path, body or None, {k.replace("_", "-"): v for k, v in headers.items()}
                )
                answer = connection.getresponse()
                return answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()}

        return self.hosts.inside(host, ask)

    def kill(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes.pop(name).wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        stubborn = []
        for name, process in self.processes.items():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                stubborn.append(name)
        assert stubborn == [], "these did not end when told to"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with hosts() as made:
        for host, zone in ZONE_OF.items():
            made.add(host, zone)
        cluster = Cluster(tmp_path, made)
        try:
            cluster.lay()
            for node in NODES:
                cluster.start_node(node)
            cluster.await_up(*NODES)
            for proxy in ("p1", "p2"):
                cluster.start_proxy(proxy)
            cluster.await_up("p1", "p2")
            yield cluster
        finally:
            cluster.stop()


def signed(cluster: Cluster, method: str, name: str, secret: str = SECRET) -> str:
    """The path of an object, for whoever has it (Object Storage API, "Temporary URL middleware")."""
    path, expires = f"/v1/{cluster.account}/{CONTAINER}/{name}", int(time.time()) + 600
    signature = hmac.digest(secret.encode(), f"{method}\n{expires}\n{path}".encode(), "sha256").hex()
    return f"{path}?temp_url_sig={signature}&temp_url_expires={expires}"


def log_in(cluster: Cluster, proxy: str) -> str:
    """The administrator's token; the account is that of the project."""
    password = (cluster.folder / proxy / "admin-password").read_text().strip()
    user = {"name": "admin", "domain": {"id": "default"}, "password": password}
    scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
    auth = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
    status, body, headers = cluster.request(
        proxy, "POST", "/identity/v3/auth/tokens", json.dumps(auth).encode(), content_type="application/json"
    )
    assert status == 201, body
    cluster.account = "AUTH_" + json.loads(body)["token"]["project"]["id"]
    return headers["x-subject-token"]


class Writers:
    """Clients that write small objects through one proxy as long as they are let, and know what was acknowledged."""

    def __init__(self, cluster: Cluster, proxy: str, mark: str, count: int = 3) -> None:
        self._cluster, self._proxy, self._mark = cluster, proxy, mark
        self.acknowledged: dict[str, bytes] = {}
        self.refused = 0
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def _write(self, writer: int) -> None:
        self._cluster.hosts.inside(self._proxy, lambda: self._loop(writer))

    def _loop(self, writer: int) -> None:
        host = self._cluster.hosts.addresses[self._proxy]
        connection = http.client.HTTPConnection(host, PORT, timeout=90)
        number = 0
        while not self._stopping.is_set():
            name, body = f"{self._mark}-{writer}-{number}", os.urandom(2000)
            number += 1
            connection.request("PUT", signed(self._cluster, "PUT", name), body)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 201:
                self.acknowledged[name] = body
            else:
                self.refused += 1
        connection.close()

    def reach(self, count: int) -> None:
        """Returns when so many more were acknowledged."""
        goal = len(self.acknowledged) + count
        until(
            lambda: len(self.acknowledged) >= goal,
            SETTLED_SECONDS,
            f"{count} more writes through {self._proxy}",
        )

    def stop(self) -> dict[str, bytes]:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        return self.acknowledged


def missing(cluster: Cluster, proxy: str, objects: dict[str, bytes]) -> list[str]:
    """Names that this proxy does not give back as they were written."""

    def read() -> list[str]:
        connection = http.client.HTTPConnection(cluster.hosts.addresses[proxy], PORT, timeout=90)
        wrong = []
        for name, body in objects.items():
            connection.request("GET", signed(cluster, "GET", name))
            answer = connection.getresponse()
            if answer.read() != body or answer.status != 200:
                wrong.append(name)
        connection.close()
        return wrong

    return cluster.hosts.inside(proxy, read)


def listed(cluster: Cluster, proxy: str) -> set[str]:
    status, body, _ = cluster.request(proxy, "GET", f"/v1/{cluster.account}/{CONTAINER}")
    assert status == 200, body
    return set(body.decode().split())


def unequal(cluster: Cluster, names: list[str]) -> list[str]:
    """Names that not all of the devices have that ought to, asked one by one from a proxy's host."""

    async def ask() -> list[str]:
        rings = Rings(cluster.rings)
        ring, peers = rings.objects[0], Peers(read_key(cluster.rings / "cluster.key"))
        members = remote_objects(ring, 0, peers)
        found = []
        for name in names:
            path = f"{cluster.account}/{CONTAINER}/{name}"
            asked = [members[each.id].peek(ring.name_hash(path)) for each in ring.lookup(path)[1]]
            stamps = await asyncio.gather(*asked, return_exceptions=True)
            if len(set(map(repr, stamps))) != 1 or not isinstance(stamps[0], Stamp):
                found.append(name)
        await peers.close()
        return found

    return cluster.hosts.inside("p1", lambda: asyncio.run(ask()))


def test_what_was_acknowledged_stays_whatever_fails(cluster: Cluster) -> None:
    owner = {"x_auth_token": log_in(cluster, "p1")}
    container = f"/v1/{cluster.account}/{CONTAINER}"
    rights = {"x_container_meta_temp_url_key": SECRET, "x_container_read": ".r:*,.rlistings"}
    assert cluster.request("p1", "PUT", container, **owner, **rights)[0] == 201

    # Written through one proxy, read through the other.
    large = os.urandom(5 * 1024 * 1024)
    assert cluster.request("p1", "PUT", signed(cluster, "PUT", "large"), large)[0] == 201
    assert cluster.request("p2", "GET", signed(cluster, "GET", "large"))[1] == large
    assert "large" in listed(cluster, "p1")
    until(lambda: "large" in listed(cluster, "p2"), SETTLED_SECONDS, "the other proxy's list")

    # A node dies while clients write.
    first = Writers(cluster, "p1", "first"), Writers(cluster, "p2", "second")
    for writers in first:
        writers.reach(20)
    cluster.kill("n1")
    for writers in first:
        writers.reach(20)
    written = {"large": large, **first[0].stop(), **first[1].stop()}
    assert not missing(cluster, "p1", written)
    assert not missing(cluster, "p2", written)
    cluster.start_node("n1")
    cluster.await_up("n1")

    # The zones lose each other; each goes on.
    cluster.hosts.cut()
    apart = Writers(cluster, "p1", "west"), Writers(cluster, "p2", "east")
    for writers in apart:
        writers.reach(10)
    sides = apart[0].stop(), apart[1].stop()
    assert not missing(cluster, "p1", sides[0])
    assert not missing(cluster, "p2", sides[1])
    cluster.hosts.heal()
    written |= sides[0] | sides[1]

    # They find each other again: every device has what it ought to have, and both proxies give and list all of it.
    until(lambda: not unequal(cluster, list(written)), SETTLED_SECONDS, "the replicas to agree")
    for proxy in ("p1", "p2"):
        assert not missing(cluster, proxy, written)
        until(
            lambda proxy=proxy: set(written) <= listed(cluster, proxy),
            SETTLED_SECONDS,
            f"the list of {proxy}",
        )  # type: ignore[misc]

    def replicated() -> bool:
        recon = json.loads(cluster.request("n1", "GET", "/recon/replication/object", port=6201)[1])
        return bool(recon["object_replication_last"] > 0)

    until(replicated, SETTLED_SECONDS, "n1 to have been around once")
    assert b"pileus_object_daemon_seen" in cluster.request("n1", "GET", "/metrics", port=6201)[1]
