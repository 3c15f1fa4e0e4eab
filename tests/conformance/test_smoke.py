"""Tempest's smoke tests of identity, image, compute and network against a simulated cloud; `./run` does the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "run"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_passed_before_passes_and_every_failure_is_explained() -> None:
    done = subprocess.run([sys.executable, str(RUN), "smoke"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
