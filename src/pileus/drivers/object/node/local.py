"""Which devices of a ring are on this host, and where."""

from __future__ import annotations

import socket
from pathlib import Path

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


def folder_of(devices: Path, device: Device) -> Path | None:
    """None where it is not there: it is never made, since a disk that is not mounted must not fill what is below it."""
    folder = devices / device.device
    return folder if folder.is_dir() else None
