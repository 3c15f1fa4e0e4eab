"""A cloud that lives for one run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

CHECKOUT = Path(__file__).resolve().parents[3]
INTERESTING = ("warning", "error", "critical")


@dataclass(frozen=True)
class Cloud:
    base_url: str
    state: Path
    simulated: bool

    @property
    def admin_password(self) -> str:
        return (self.state / "admin-password").read_text().strip()

    def complaints(self, most: int = 40) -> list[str]:
        """The last warnings and errors of its log, and whatever else is not of the log's format."""
        lines = (self.state / "pileus.log").read_text(errors="replace").splitlines()
        return [line for line in lines if _is_complaint(line)][-most:]


def _is_complaint(line: str) -> bool:
    try:
        return msgspec.json.decode(line).get("level") in INTERESTING
    except (msgspec.DecodeError, AttributeError):
        return bool(line.strip())


@contextmanager
def raised(
    *, simulated: bool, listen: str | None, settings: Mapping[str, str] | None = None
) -> Iterator[Cloud]:
    """`pileus up` with a state directory of its own; `pileus down` and nothing left, whatever happens."""
    listen = listen or f"127.0.0.1:{_free_port()}"
    state = Path(tempfile.mkdtemp(prefix="pileus-conformance-"))
    try:
        kind = ["--sim"] if simulated else []
        run_pileus("up", *kind, "--state", str(state), "--listen", listen, settings=settings)
        yield Cloud(f"http://{listen}", state, simulated)
    finally:
        run_pileus("down", "--state", str(state))
        shutil.rmtree(state)


def run_pileus(*arguments: str, settings: Mapping[str, str] | None = None) -> None:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "src"), **(settings or {})}
    done = subprocess.run(
        [sys.executable, "-m", "pileus", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"`pileus {' '.join(arguments)}` failed:\n{done.stdout}{done.stderr}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
