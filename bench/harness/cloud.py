"""A simulated cloud to measure: raised, spoken to, watched from outside."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_SCHEDULED = 2
"""CPUCLOCK_SCHED, of Linux's numbers for clocks of processes."""
# As a user has it: Python keeps what it has compiled.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Process:
    """Another process, as the kernel sees it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    @property
    def cpu_seconds(self) -> float:
        """User and system time of all its threads, also of those that have ended. To the nanosecond, where /proc counts
        ticks of 10 ms: its CPU-time clock (clock_getcpuclockid(3))."""
        return time.clock_gettime(~self.pid << 3 | _SCHEDULED)

    @property
    def resident_mib(self) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def json(self) -> Any:
        return json.loads(self.body)


class Cloud:
    """A running cloud and its administrator's token."""

    def __init__(self, port: int, state: Path) -> None:
        self.port = port
        self.process = Process(json.loads((state / "running.json").read_text())["pid"])
        self.password = (state / "admin-password").read_text().strip()
        self.token = ""
        self.project_id = ""

    def log_in(self) -> None:
        user = {"name": "admin", "domain": {"id": "default"}, "password": self.password}
        project = {"name": "admin", "domain": {"id": "default"}}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": {"project": project}}}
        answer = self.request("POST", "/identity/v3/auth/tokens", body, expect=201)
        self.token = answer.headers["x-subject-token"]
        self.project_id = answer.json()["token"]["project"]["id"]

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        expect: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        sent = {"X-Auth-Token": self.token, "Content-Type": "application/json", **(headers or {})}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, names, response.read())
        finally:
            connection.close()
        if expect is not None and answer.status != expect:
            raise SystemExit(f"{method} {path} answered {answer.status}: {answer.body.decode()[:500]}")
        return answer

    def application_credential(self) -> dict[str, str]:
        """The id and secret of a new one of the administrator's."""
        asked = {"X-Subject-Token": self.token}
        shown = self.request("GET", "/identity/v3/auth/tokens", headers=asked, expect=200).json()
        path = f"/identity/v3/users/{shown['token']['user']['id']}/application_credentials"
        named = {"application_credential": {"name": "bench"}}
        made = self.request("POST", path, named, expect=201).json()["application_credential"]
        return {"id": made["id"], "secret": made["secret"]}

    def headers(self, **more: str) -> dict[str, str]:
        """Of a request for the load generator."""
        return {"X-Auth-Token": self.token, **more}


@contextmanager
def raised(settings: Mapping[str, str] | None = None) -> Iterator[tuple[Cloud, float]]:
    """A cloud just raised, with the seconds from nothing to its first token; gone without trace afterwards."""
    with tempfile.TemporaryDirectory(prefix="pileus-bench-") as folder:
        state, port = Path(folder) / "state", free_port()
        began = time.perf_counter()
        where = ("--state", str(state), "--listen", f"127.0.0.1:{port}")
        _pileus("up", "--sim", *where, settings=settings)
        try:
            cloud = Cloud(port, state)
            cloud.log_in()
            yield cloud, time.perf_counter() - began
        finally:
            _pileus("down", "--state", str(state))


def _pileus(*arguments: str, settings: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pileus", *arguments],
        env={**_ENVIRONMENT, **(settings or {}), "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"`pileus {' '.join(arguments)}` failed:\n{done.stdout}{done.stderr}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
