"""A whole cloud as a process of its own, for tests: of Pileus itself, and of any tool that talks to OpenStack.

    with running_cloud(tmp_path) as cloud:
        cloud.connect().compute.flavors()

Simulated unless told otherwise: all APIs, and nothing needed but Python. With `sim=False` it has real machines,
containers and networks, and needs root. See doc/testing.md.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pileus
from pileus.cli import process
from pileus.testing import footprint

if TYPE_CHECKING:
    from openstack.connection import Connection

T = TypeVar("T")

COMMAND_SECONDS = 120.0
"""For `pileus up` and `down`, on a machine that has much else to do."""
_PORTS = range(10_000, 30_000)
_ports_given: set[int] = set()


class CloudError(Exception):
    """The cloud did not do as it was told; the message has its words."""


class Cloud:
    """One cloud: raised, taken down, killed, raised again, as often as a test wants."""

    def __init__(
        self,
        state: Path,
        *,
        sim: bool = True,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        command: Sequence[str] = (),
    ) -> None:
        """`state` is the cloud's folder; `port` that of its API on 127.0.0.1, any free one by default.

        `settings` are environment variables, such as `PILEUS_SIM_HOSTS`. `command` goes before `pileus` where it
        is run: `("ip", "netns", "exec", NAME)`.
        """
        self.state = state
        self.sim = sim
        self.port = port or free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.settings = dict(settings or {})
        self.command = tuple(command)
        self._connections: list[Connection] = []
        if not sim:
            self.settings.setdefault("PILEUS_NETWORK__EXTERNAL_CIDRS", json.dumps(free_external_cidrs()))

    @property
    def pid(self) -> int | None:
        """The control plane's process, or None where it is down."""
        running = process.find(self.state)
        return running.pid if running is not None else None

    def up(self) -> None:
        """Returns when clients are answered; raises CloudError."""
        options = ["--listen", f"127.0.0.1:{self.port}", *(["--sim"] if self.sim else [])]
        self.pileus("up", *options)

    def down(self) -> None:
        """Ends all of it but what it knows."""
        self.pileus("down")

    def kill(self) -> None:
        """Kills the control plane: no warning, no goodbye. Guests and their networks run on."""
        pid = self.pid
        if pid is not None:
            footprint.kill(pid)

    def power_cut(self) -> None:
        """Kills all that the cloud runs on this host at once, as a power cut does, guests included."""
        self.kill()
        while pids := footprint.processes(self.state):
            for pid in pids:
                footprint.kill(pid)

    def lose_host(self) -> None:
        """As `power_cut`, and what a reboot of this host would take is gone too: namespaces, links, mounts, /run."""
        self.power_cut()
        footprint.sweep(self.state, self._external_cidrs())

    def pileus(self, *arguments: str) -> str:
        """What the command `pileus ARGUMENTS --state …` of this cloud prints; raises CloudError."""
        path = os.pathsep.join([str(Path(pileus.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [*self.command, sys.executable, "-m", "pileus", *arguments, "--state", str(self.state)],
            env={**os.environ, **self.settings, "PYTHONPATH": path.rstrip(os.pathsep)},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        if done.returncode:
            raise CloudError(f"pileus {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def connect(self, *, cacert: Path | None = None, **auth: str) -> Connection:
        """openstacksdk as the administrator, or as `auth` says: `username`, `password`, `project_name` and so on.

        `cacert` has the authority to trust where clients reach the cloud by TLS.
        """
        import openstack
        from openstack.config import OpenStackConfig

        config = OpenStackConfig(config_files=[str(self.state / "clouds.yaml")], load_envvars=False)
        known = {"user_domain_name": "Default", "project_domain_name": "Default"} if auth else {}
        region = config.get_one("pileus", auth={**known, **auth}, cacert=cacert and str(cacert))
        connection = openstack.connection.Connection(config=region)
        self._connections.append(connection)
        return connection

    @property
    def external_addresses(self) -> list[str]:
        """The host's own on the external networks, from where it reaches floating IPs."""
        return [str(ipaddress.ip_network(cidr)[1]) for cidr in self._external_cidrs()]

    def add_image(
        self, name: str, file: Path, *, disk_format: str = "qcow2", container_format: str = "bare"
    ) -> str:
        """The id of a new public image with this content."""
        image = self.connect().image.create_image(
            name=name,
            filename=str(file),
            disk_format=disk_format,
            container_format=container_format,
            visibility="public",
            validate_checksum=False,
        )
        return str(image.id)

    def log(self, lines: int = 60) -> str:
        """The end of the control plane's log."""
        return "\n".join((self.state / "pileus.log").read_text(errors="replace").splitlines()[-lines:])

    def remains(self) -> list[str]:
        """What is on the host of this cloud besides its state: nothing, once it is down."""
        return footprint.remains(self.state, self._external_cidrs())

    def purge(self) -> None:
        """Takes it down and forgets it. Raises CloudError where anything of it stays on the host."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        try:
            if self.state.exists():
                self.down()
            if left := self.remains():
                raise CloudError("the cloud left on the host: " + ", ".join(left))
        finally:
            # What was not ended in order must still not outlive the test.
            footprint.sweep(self.state, self._external_cidrs())
            shutil.rmtree(self.state, ignore_errors=True)

    def _external_cidrs(self) -> list[str]:
        return [] if self.sim else json.loads(self.settings["PILEUS_NETWORK__EXTERNAL_CIDRS"])


@contextlib.contextmanager
def running_cloud(
    directory: Path, *, sim: bool = True, port: int | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[Cloud]:
    """A new cloud that answers, its state in `directory`; nothing of it is left afterwards."""
    cloud = Cloud(directory / "state", sim=sim, port=port, settings=settings)
    try:
        cloud.up()
        yield cloud
    finally:
        cloud.purge()


def until(look: Callable[[], T | None], seconds: float, what: str) -> T:
    """The first true value of `look` within some seconds; AssertionError says what was waited for in vain."""
    deadline = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.05)


def holds(check: Callable[[], None], seconds: float) -> None:
    """Returns once `check` raises no AssertionError; its last one goes on when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def free_port() -> int:
    """Where nothing of this host listens, given out once.

    None of those that the kernel lends to clients (net.ipv4.ip_local_port_range): they would take it while a cloud
    that is to come back is down.
    """
    while True:
        # Not of `random`, which Hypothesis seeds: test processes side by side would try the same ones.
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            if port not in _ports_given:
                _ports_given.add(port)
                return port


def free_external_cidrs() -> list[str]:
    """Prefixes for external networks, IPv4 and IPv6, to which no route of this host leads."""
    taken = [
        ipaddress.ip_network(route["dst"], strict=False)
        for version in ("-4", "-6")
        for route in json.loads(
            footprint.output("ip", "-json", version, "route", "show", "table", "all") or "[]"
        )
        if "/" in route["dst"]
    ]
    while True:
        number = secrets.randbelow(1 << 12)
        wanted = [f"172.{16 + (number >> 8)}.{number & 255}.0/24", f"fd5a:17ea:{0xE000 | number:x}::/64"]
        networks = [ipaddress.ip_network(each) for each in wanted]
        if not any(
            one.version == other.version and one.overlaps(other) for one in networks for other in taken
        ):
            return wanted
