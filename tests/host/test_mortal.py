"""Nothing outlives a test run that was killed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from pileus.testing import footprint
from pileus.testing.cloud import until

pytestmark = pytest.mark.host
ROOT = Path(__file__).parents[2]
IDENTITY_PROVIDER = """
from tests.host.oidc_provider import oidc_provider
with oidc_provider():
    print("ready", flush=True)
    input()
"""
WEB_SERVER = """
from pathlib import Path
from pileus.testing.cloud import free_port
from tests.host.nginx import nginx
port = free_port()
with nginx(Path("nginx").absolute(), port, f"server {{ listen 127.0.0.1:{port}; }}"):
    print("ready", flush=True)
    input()
"""
DIRECTORY = """
from pathlib import Path
from tests.host.slapd import slapd
with slapd(Path(".")):
    print("ready", flush=True)
    input()
"""


def children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def started_by(pid: int) -> list[int]:
    """Its children, and theirs."""
    return [each for child in children(pid) for each in (child, *started_by(child))]


@pytest.mark.parametrize(
    "program", [IDENTITY_PROVIDER, WEB_SERVER, DIRECTORY], ids=["node", "nginx", "slapd"]
)
def test_servers_end_with_who_started_them(program: str, tmp_path: Path) -> None:
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    worker = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**environment, "HOME": str(Path.home())},
    )
    with worker:
        assert worker.stdout is not None
        assert "ready" in worker.stdout.readline()
        servers = started_by(worker.pid)
        assert servers
        assert all(map(footprint.is_alive, servers))
        worker.kill()
    until(lambda: not any(map(footprint.is_alive, servers)), 60, "the servers to end")
