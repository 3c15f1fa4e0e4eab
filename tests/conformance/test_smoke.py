"""Tempest's smoke tests of identity, image, compute and network, and a fixed part of identity's and image's others, against
a simulated cloud; `./run` does the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "run"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("area", ["smoke", "representative"])
def test_what_passed_before_passes_and_every_failure_is_explained(area: str) -> None:
    done = subprocess.run([sys.executable, str(RUN), area], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
