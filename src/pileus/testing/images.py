"""Guest images for tests, built once for all runs."""

from __future__ import annotations

from pathlib import Path

from pileus.cli.image_build import MicroImage, build_micro

BUILT = Path("/var/tmp/pileus-tests/micro")


def micro_image() -> MicroImage:
    """The micro guest; needs root. What was made from the same packages and files is taken as it is."""
    return build_micro(BUILT, print)
