"""One ring out of several: each region's operators keep a builder of their own, and its share of the replicas is fixed."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import combinations

import msgspec

from pileus.lib.ring.device import TYPE_CODES, Device, id_bytes
from pileus.lib.ring.ring import Ring


def compose(rings: Sequence[Ring]) -> Ring:
    """The rows of all, behind each other; device ids are shifted. Raises ValueError where the rings don't fit together.

    They must have one number of partitions, whole replicas, no region and no device in common.
    """
    if len(rings) < 2:
        raise ValueError("a composite ring is made of two rings at least")
    if len({ring.part_power for ring in rings}) > 1:
        raise ValueError("the rings differ in their number of partitions")
    if any(ring.replicas != int(ring.replicas) or not ring.rows for ring in rings):
        raise ValueError("each ring must have a whole number of replicas")
    for one, other in combinations(rings, 2):
        if shared := _regions(one) & _regions(other):
            raise ValueError(f"region {min(shared)} is in two of the rings")
        if places := _places(one) & _places(other):
            raise ValueError(f"device {min(places)} is in two of the rings")
    width = id_bytes(sum(len(ring.devices) for ring in rings))
    rows: list[array[int]] = []
    devices: list[Device | None] = []
    for ring in rings:
        offset = len(devices)
        rows += [array(TYPE_CODES[width], (id_ + offset for id_ in row)) for row in ring.rows]
        devices += [
            None if device is None else msgspec.structs.replace(device, id=device.id + offset)
            for device in ring.devices
        ]
    return Ring(rows, devices, rings[0].part_power, name_hash=rings[0].name_hash)


def _regions(ring: Ring) -> set[int]:
    return {device.region for device in ring.devices if device is not None}


def _places(ring: Ring) -> set[tuple[str, int, str]]:
    return {(device.ip, device.port, device.device) for device in ring.devices if device is not None}
