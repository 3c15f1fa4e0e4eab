"""The control plane is killed at random moments while servers come and go, and nobody's server is the worse for it."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from keystoneauth1.exceptions import ConnectFailure, RetriableConnectionFailure
from openstack.compute.v2.server import Server
from openstack.connection import Connection

from pileus.cli.image_build import MicroImage
from pileus.testing import footprint
from pileus.testing.cloud import Cloud, CloudError, holds, running_cloud, until
from pileus.testing.project import Project

from .conftest import add_images

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.timeout(900)]

SEED = int(os.environ.get("KILL_SEED", "20260"))
"""Another one tells another story."""
CONTAINERS, MACHINES, DELETES = 17, 3, 10
AT_ONCE = 3
LONGEST_SECONDS = 1.5
SETTLED_SECONDS = 120.0
REACHED_SECONDS = 90.0

Operation = Callable[[], None]


class NothingToDelete(Exception):
    """All that were asked for before have not been acknowledged yet."""


class Story:
    """What was asked for, what was promised, and what was seen to run."""

    def __init__(self, cloud: Cloud, directory: Path) -> None:
        self.cloud = cloud
        self.rng = random.Random(SEED)
        self.project = Project.create(cloud, "tenant", directory)
        self.admin = cloud.connect()
        self.admin.set_compute_quotas(self.project.id, instances=50, cores=50)
        self.network = self.project.network("net", "10.90.0.0/24", router=self.project.router("router"))
        self.project.security_group("open", "icmp", "tcp:22")
        self.promised: dict[str, str] = {}
        """Acknowledged servers' ids, with what they are: `machine` or `container`."""
        self.deleted: set[str] = set()
        self.doubtful: set[str] = set()
        """Whose deletion was asked for, and the answer never came."""
        self.runs: dict[str, tuple[int, str]] = {}
        """Process and start time of those that were ACTIVE, as first seen."""
        self._choosing = threading.Lock()

    def operations(self) -> deque[Operation]:
        kinds = ["container"] * CONTAINERS + ["machine"] * MACHINES
        wanted: list[Operation] = [lambda kind=kind: self.boot(kind) for kind in kinds]  # type: ignore[misc]
        self.rng.shuffle(wanted)
        for n in range(DELETES):
            # Among the boots, so that the doomed are in all states; not before there is any.
            wanted.insert(
                self.rng.randrange(AT_ONCE, len(wanted) + 1), self.delete if n % 2 else self.delete_newest
            )
        return deque(wanted)

    def boot(self, kind: str) -> None:
        server = self.project.boot(
            f"{kind}-{len(self.promised)}",
            kind,
            [{"uuid": self.network}],
            security_groups=[{"name": "open"}],
            wait=False,
        )
        self.promised[server.id] = kind

    def delete(self) -> None:
        self._delete(self.rng.choice)

    def delete_newest(self) -> None:
        self._delete(lambda living: living[-1])

    def _delete(self, choose: Callable[[list[str]], str]) -> None:
        with self._choosing:
            if not (living := self.living()):
                raise NothingToDelete
            chosen = choose(living)
            self.deleted.add(chosen)
        try:
            self.project.connection.compute.delete_server(chosen)
        except ConnectFailure:
            self.deleted.discard(chosen)
            self.doubtful.add(chosen)
            raise

    def look(self) -> None:
        """Notes which process runs each ACTIVE server, when it is seen for the first time."""
        for server in self.project.connection.compute.servers():
            if server.status == "ACTIVE" and server.task_state is None:
                self.runs.setdefault(server.id, run_of(self.cloud, server.id))

    def living(self) -> list[str]:
        return [each for each in self.promised if each not in self.deleted | self.doubtful]


@pytest.fixture
def story(micro: MicroImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with running_cloud(tmp_path_factory.mktemp("killed"), sim=False) as cloud:
        add_images(cloud, micro)
        yield Story(cloud, tmp_path_factory.mktemp("keys"))


def test_killed_again_and_again(story: Story) -> None:
    kills = 0
    waiting = story.operations()
    while waiting:
        batch = [waiting.popleft() for _ in range(min(AT_ONCE, len(waiting)))]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            asked = [pool.submit(operation) for operation in batch]
            _let_pass(story.rng.uniform(0, LONGEST_SECONDS))
            story.cloud.kill()
        waiting.extend(
            operation for operation, future in zip(batch, asked, strict=True) if not _was_heard(future)
        )
        if kills % 3 == 2:
            _up_and_killed(story.cloud, story.rng.uniform(0, LONGEST_SECONDS))
        story.cloud.up()
        story.look()
        kills += 1
    assert kills >= (CONTAINERS + MACHINES + DELETES) // AT_ONCE

    servers = _settled(story)
    errors = sum(server.status == "ERROR" for server in servers)
    print(f"{kills} kills; {len(servers)} servers left, {errors} in ERROR; {len(story.runs)} seen running")
    for server in servers:
        if server.status == "ERROR":
            assert server.fault["message"].strip()
            assert "Traceback" not in server.fault["message"]
    _reach(story, [server for server in servers if server.status == "ACTIVE"])
    _have_never_restarted(story, servers)
    # A deleted server's ports are taken out of the switch after it is gone itself.
    holds(lambda: _nothing_else_is_there(story), SETTLED_SECONDS)


def _let_pass(seconds: float) -> None:
    """The moment of the kill is what this test is about; there is no condition to wait for."""
    threading.Event().wait(seconds)


def _was_heard(future: Future[None]) -> bool:
    """Whether the cloud answered before it was killed."""
    try:
        future.result()
    except (ConnectFailure, RetriableConnectionFailure, NothingToDelete):
        return False
    return True


def _up_and_killed(cloud: Cloud, seconds: float) -> None:
    """A start that does not come to its end."""
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(cloud.up)
        _let_pass(seconds)
        for pid in footprint.processes(cloud.state):
            # The one that has left its terminal, not the one that waits for it.
            if b"\0up\0" in _command_line(pid) and os.getsid(pid) == pid:
                footprint.kill(pid)
        # Refused where it was killed, and no matter where it was quicker.
        if (error := starting.exception()) is not None and not isinstance(error, CloudError):
            raise error
    cloud.kill()


def _settled(story: Story) -> list[Server]:
    """All servers, once those that should be gone are, and the others have become what they will be."""

    def look() -> list[Server] | None:
        servers = list(story.project.connection.compute.servers())
        done = all(server.status in ("ACTIVE", "ERROR") and server.task_state is None for server in servers)
        return servers if done else None

    for deleted in story.deleted:
        until(
            lambda deleted=deleted: _is_gone(story.project.connection, deleted),
            SETTLED_SECONDS,
            f"{deleted} to be gone",
        )  # type: ignore[misc]
    servers = until(look, SETTLED_SECONDS, "all servers to settle")
    # Who never heard that a server was made may find one more in the list.
    assert set(story.living()) <= {server.id for server in servers}
    return servers


def _is_gone(connection: Connection, server_id: str) -> bool:
    return connection.compute.get(f"/servers/{server_id}").status_code == 404


def _reach(story: Story, servers: list[Server]) -> None:
    def banner(server: Server) -> None:
        address = story.project.floating_ip(server)

        def look() -> bytes | None:
            try:
                with socket.create_connection((address, 22), timeout=3) as connection:
                    connection.settimeout(3)
                    return connection.recv(8)
            except OSError:
                return None

        assert until(look, REACHED_SECONDS, f"{server.name} to answer at {address}") == b"SSH-2.0-"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(banner, servers))


def _have_never_restarted(story: Story, servers: list[Server]) -> None:
    now = {server.id: run_of(story.cloud, server.id) for server in servers if server.status == "ACTIVE"}
    seen = {server_id: run for server_id, run in story.runs.items() if server_id in story.living()}
    assert seen
    assert {server_id: now.get(server_id) for server_id in seen} == seen


def _nothing_else_is_there(story: Story) -> None:
    """On the host, in the switch, in the databases: what belongs to living servers and nothing else."""
    cloud = story.cloud
    living = {server.id for server in story.project.connection.compute.servers()}
    ports = {port.id: port for port in story.admin.network.ports()}
    compute_ports = {each for each, port in ports.items() if port.device_owner.startswith("compute:")}
    assert {ports[each].device_id for each in compute_ports} == living
    assert len(compute_ports) == len(living)

    providers = story.admin.placement.get("/resource_providers").json()["resource_providers"]
    claimed = [
        consumer
        for provider in providers
        for consumer in story.admin.placement.get(
            f"/resource_providers/{provider['uuid']}/allocations"
        ).json()["allocations"]
    ]
    assert sorted(claimed) == sorted(living)

    switch_ports = {
        row["name"]: row["type"] for row in _rows(cloud, "ovn-nbctl", "Logical_Switch_Port", "name", "type")
    }
    assert {name for name, kind in switch_ports.items() if kind == ""} == compute_ports
    plugged = {name for name in _interfaces(cloud) if switch_ports.get(name) != "localport"}
    assert plugged == compute_ports
    links = json.loads(
        _output("ip", "-json", "-netns", f"pileus-{footprint.network_digest(cloud.state)}", "link")
    )
    taps = {link["ifname"] for link in links if link["ifname"].startswith("tap")}
    assert taps == {f"tap{name[:11]}" for name in _interfaces(cloud)}

    for server_id in set(footprint.server_ids(cloud.state)) - living:
        assert footprint.of_server(cloud.state, server_id) == []
    for server_id in living:
        assert footprint.of_server(cloud.state, server_id)


def run_of(cloud: Cloud, server_id: str) -> tuple[int, str]:
    """The process that is the guest (QEMU, or a container's init) and when it began."""
    places = (cloud.state / "hypervisor/qemu/guests" / server_id / "qemu.pid",
              footprint.run_directory(cloud.state) / "guests" / server_id / "init.pid")  # fmt: skip
    (pid,) = (int(path.read_text()) for path in places if path.exists())
    return pid, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def _rows(cloud: Cloud, tool: str, table: str, *columns: str) -> list[dict[str, Any]]:
    """A table of the cloud's own switch."""
    database = f"--db=unix:{cloud.state}/network/db.sock"
    shown = json.loads(
        _output(tool, database, "--format=json", f"--columns={','.join(columns)}", "list", table)
    )
    return [dict(zip(columns, row, strict=True)) for row in shown["data"]]


def _interfaces(cloud: Cloud) -> set[str]:
    """Ids of the ports whose links are in the switch."""
    rows = _rows(cloud, "ovs-vsctl", "Interface", "external_ids")
    return {value for row in rows for key, value in row["external_ids"][1] if key == "iface-id"}


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
