"""A ring of folders on this host, all in one process."""

from __future__ import annotations

from pileus.lib.ring import Builder, Ring

PART_POWER = 10
"""Partitions for some dozens of devices."""
SEED = 1


def local_ring(devices: int, replicas: int) -> Ring:
    """Devices 0 to `devices` - 1, named `d0` and so on, each apart from the others; always the same ring."""
    builder = Builder(PART_POWER, min(replicas, devices))
    for number in range(devices):
        builder.add(zone=number + 1, ip="127.0.0.1", port=0, device=f"d{number}", weight=1)
    builder.rebalance(SEED, now=0)
    return builder.ring()
