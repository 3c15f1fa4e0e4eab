"""A ring of folders on this host, all in one process."""

from __future__ import annotations

import time
from pathlib import Path

from pileus.kernel.files import write_whole
from pileus.lib.ring import Builder, Ring, encode

PART_POWER = 10
"""Partitions for some dozens of devices."""
SEED = 1
REPLICAS = 3


def local_ring(devices: int, replicas: int) -> Ring:
    """Devices 0 to `devices` - 1, named `d0` and so on, each apart from the others; always the same ring."""
    builder = Builder(PART_POWER, min(replicas, devices))
    _add(builder, devices)
    builder.rebalance(SEED, now=0)
    return builder.ring()


def kept_ring(builder_file: Path, devices: int, replicas: int | None) -> Ring:
    """The ring of an earlier start, changed as little as more devices, or other replicas, ask for.

    `replicas` None: as many as there were, at first three. The ring file stands beside the builder's, for `pileus ring`
    and others to look at. ValueError where there were more devices: only they have part of the objects.
    """
    if not builder_file.exists():
        builder = Builder(PART_POWER, min(replicas or REPLICAS, devices))
        _add(builder, devices)
    else:
        builder = Builder.load(builder_file.read_bytes())
        known = len(builder.devices)
        if known > devices:
            raise ValueError(f"the ring has {known} devices, more than {devices}")
        as_before = REPLICAS if builder.replicas == known < REPLICAS else int(builder.replicas)
        wanted = min(replicas or as_before, devices)
        if (known, builder.replicas) == (devices, wanted):
            return builder.ring()
        _add(builder, devices - known)
        builder.set_replicas(wanted)
        builder.forget_moves()
    builder.rebalance(SEED, now=time.time())
    builder_file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(builder_file, builder.dump(), 0o644)
    write_whole(builder_file.with_suffix(".ring.gz"), encode(builder.ring()), 0o644)
    return builder.ring()


def _add(builder: Builder, many: int) -> None:
    for _ in range(many):
        number = len(builder.devices)
        builder.add(zone=number + 1, ip="127.0.0.1", port=0, device=f"d{number}", weight=1)
