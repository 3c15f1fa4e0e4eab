"""Which of a ring's devices are near: those of a proxy's own region first. The setting's form is that of Swift's proxies
(`read_affinity`)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable

from pileus.lib.ring.device import Device

Nearness = Callable[[Device], float]
"""The lower, the nearer."""
_PLACE = re.compile(r"r(\d+)(?:z(\d+))?=(\d+)")


def alike(device: Device) -> float:
    """All are equally near."""
    return 0.0


def _places(text: str) -> list[tuple[float, int, int | None]]:
    """Rank, region, zone, the nearest first."""
    found = []
    for piece in (each.strip() for each in text.split(",")):
        matched = _PLACE.fullmatch(piece)
        if matched is None:
            raise ValueError(f"{piece!r} is no place; they are written as in 'r1=100, r2z3=200'")
        region, zone, rank = matched.groups()
        found.append((float(rank), int(region), None if zone is None else int(zone)))
    return sorted(found, key=lambda place: place[0])


def nearness(text: str) -> Nearness:
    """From `r1=100, r1z2=50`: regions, or zones of them, and how far they are. All others are farther; nothing: all are
    alike. Raises ValueError."""
    if not text.strip():
        return alike
    places = _places(text)

    def rank(device: Device) -> float:
        for far, region, zone in places:
            if device.region == region and zone in (None, device.zone):
                return far
        return math.inf

    return rank


def nearest_first(devices: Iterable[Device], near: Nearness) -> list[Device]:
    """To read from. Those that are equally near keep their order."""
    return sorted(devices, key=near)
