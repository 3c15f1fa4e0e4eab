"""Which devices of a ring are on this host, and where."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import NamedTuple

from pileus.lib.ring import Device, Ring

ANY = ("0.0.0.0", "::")
"""All addresses of this host."""


def own_devices(ring: Ring, host: str, port: int) -> list[Device]:
    """Those at the address that is listened on; where that is all of the host's, those at any of its addresses."""
    found = [each for each in ring.devices if each is not None and each.port == port]
    if host in ANY:
        return [each for each in found if _is_here(each.ip)]
    return [each for each in found if each.ip == host]


def _is_here(address: str) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


class Disk(NamedTuple):
    """What a device's folder is on."""

    number: int
    is_mounted: bool
    """Whether it is the top of a file system."""


def disk_of(folder: Path) -> Disk | None:
    """None where there is no such folder."""
    try:
        return Disk(folder.stat().st_dev, os.path.ismount(folder))
    except OSError:
        return None
