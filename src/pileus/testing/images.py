"""Guest images for tests, built once for all runs."""

from __future__ import annotations

import fcntl
from pathlib import Path

from pileus.cli.image_build import MicroImage, build_micro

BUILT = Path("/var/tmp/pileus-tests/micro")


def micro_image() -> MicroImage:
    """The micro guest; needs root. What was made from the same packages and files is taken as it is."""
    BUILT.mkdir(parents=True, exist_ok=True)
    with open(BUILT / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several test processes one builds, and the others wait
        return build_micro(BUILT, print)
