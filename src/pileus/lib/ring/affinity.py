"""Which of a ring's devices are near: those of a proxy's own region first. The settings' forms are those of Swift's proxies
(`read_affinity`, `write_affinity`)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from pileus.lib.ring.device import Device

Nearness = Callable[[Device], float]
"""The lower, the nearer."""
Locality = Callable[[Device], bool]
"""Whether a device is of a proxy's own place."""
_RANKED = re.compile(r"r(\d+)(?:z(\d+))?=(\d+)")
_PLACE = re.compile(r"r(\d+)(?:z(\d+))?")


def alike(device: Device) -> float:
    """All are equally near."""
    return 0.0


def everywhere(device: Device) -> bool:
    """All are of one place."""
    return True


class Affinity(NamedTuple):
    """What a proxy prefers."""

    near: Nearness = alike
    """To read from."""
    local: Locality = everywhere
    """To write to."""


NONE = Affinity()


def _places(text: str) -> list[tuple[float, int, int | None]]:
    """Rank, region, zone, the nearest first."""
    found = []
    for piece in (each.strip() for each in text.split(",")):
        matched = _RANKED.fullmatch(piece)
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


def locality(text: str) -> Locality:
    """From `r1, r2z3`: regions, or zones of them; nothing: all are of one place. Raises ValueError."""
    if not text.strip():
        return everywhere
    places = []
    for piece in (each.strip() for each in text.split(",")):
        matched = _PLACE.fullmatch(piece)
        if matched is None:
            raise ValueError(f"{piece!r} is no place; they are written as in 'r1, r2z3'")
        region, zone = matched.groups()
        places.append((int(region), None if zone is None else int(zone)))
    return lambda device: any(
        device.region == region and zone in (None, device.zone) for region, zone in places
    )
