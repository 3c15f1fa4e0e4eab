"""What every hypervisor asks of its host, and how it writes down what must be found again."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pileus.services.compute.driver import HypervisorError


def boot_id() -> str:
    """Which boot of the host this is."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def memory_mib() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20


def version_number(words: str) -> int:
    """Upstream's `hypervisor_version`, from what a program says of itself: 7.2.22 is 7002022."""
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", words)
    if found is None:
        raise HypervisorError(f"There is no version in {words!r}.")
    major, minor, patch = (int(number) for number in found.groups())
    return major * 1_000_000 + minor * 1_000 + patch
