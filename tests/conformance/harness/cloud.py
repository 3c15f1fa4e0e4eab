"""A cloud that lives for one run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pileus.testing.cloud import Cloud

CHECKOUT = Path(__file__).resolve().parents[3]
INTERESTING = ("warning", "error", "critical")


def admin_password(cloud: Cloud) -> str:
    return (cloud.state / "admin-password").read_text().strip()


def complaints(cloud: Cloud, most: int = 40) -> list[str]:
    """The last warnings and errors of its log, and whatever else is not of the log's format."""
    lines = (cloud.state / "pileus.log").read_text(errors="replace").splitlines()
    return [line for line in lines if _is_complaint(line)][-most:]


def _is_complaint(line: str) -> bool:
    try:
        return msgspec.json.decode(line).get("level") in INTERESTING
    except (msgspec.DecodeError, AttributeError):
        return bool(line.strip())


@contextmanager
def raised(*, simulated: bool, port: int | None) -> Iterator[Cloud]:
    """A new cloud with a state directory of its own; nothing of it is left, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="pileus-conformance-") as directory:
        cloud = Cloud(Path(directory) / "state", sim=simulated, port=port)
        try:
            cloud.up()
            yield cloud
        finally:
            cloud.purge()
