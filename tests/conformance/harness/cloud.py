"""A cloud that lives for one run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pileus.testing.cloud import Cloud

CHECKOUT = Path(__file__).resolve().parents[3]
SETTINGS = """
[identity.security_compliance]
lockout_failure_attempts = 2
lockout_duration = 5
unique_last_password_count = 2
"""
"""What `tempest.conf.in` counts on."""
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
def raised(
    *, simulated: bool, port: int | None, settings: Mapping[str, str] | None = None
) -> Iterator[Cloud]:
    """A new cloud with a state directory of its own; nothing of it is left, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="pileus-conformance-") as directory:
        state = Path(directory) / "state"
        state.mkdir(mode=0o700)
        (state / "pileus.toml").write_text(SETTINGS)
        cloud = Cloud(state, sim=simulated, port=port, settings=settings)
        try:
            cloud.up()
            yield cloud
        finally:
            cloud.purge()
