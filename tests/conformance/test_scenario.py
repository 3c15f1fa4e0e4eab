"""Tempest against a real cloud: guests that boot, get addresses and floating IPs, and are logged in to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "run"
REPRESENTATIVE = r"\.TestServerBasicOps\.|\.TestNetworkBasicOps\.test_network_basic_ops"


@pytest.mark.host
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_servers_and_networks_carry_what_they_should() -> None:
    command = [sys.executable, str(RUN), "scenario", "--only", REPRESENTATIVE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed, 0 failed, 0 skipped" in done.stdout
