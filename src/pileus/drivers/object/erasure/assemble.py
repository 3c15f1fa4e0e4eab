"""A storage policy's erasure-coded device, out of a ring and its members."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pileus.drivers.object.cluster.device import ObjectCluster
from pileus.drivers.object.cluster.member import Member
from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.erasure.code import Scheme, best
from pileus.drivers.object.erasure.device import ErasureDevice
from pileus.drivers.object.erasure.places import Places, record_ring
from pileus.drivers.object.erasure.reconstructor import Reconstructor
from pileus.drivers.object.summary import SUFFIX_POWER
from pileus.kernel.clock import Clock
from pileus.lib.ring import Builder, Ring
from pileus.lib.ring.affinity import Affinity, Nearness, alike
from pileus.services.object_store.policies import ErasureCoding

KIB = 1024
PART_POWER = 10


def scheme_of(coding: ErasureCoding) -> Scheme:
    """Raises Unusable."""
    return Scheme(coding.code or best(), coding.data, coding.parity, coding.segment_kib * KIB)


def assemble(
    ring: Ring,
    fragments: Mapping[int, Member],
    records: Mapping[int, Member],
    scheme: Scheme,
    clock: Clock,
    name: str,
    local: Collection[int] | None = None,
    near: Nearness = alike,
) -> tuple[ErasureDevice, Reconstructor]:
    """The device, and the walk that keeps it whole. Members by the ring's device ids: of fragments and of records two each.

    `local` as `Reconstructor`, `near`: whom to read from rather. Raises Unusable where the ring has not a replica for each
    fragment.
    """
    places = Places(ring, fragments, scheme, near)
    kept = ObjectCluster(record_ring(ring, scheme), records, clock, affinity=Affinity(near))
    device = ErasureDevice(kept, places, scheme)
    return device, Reconstructor(device, records, clock, name=name, local=local)


def on_folders(
    folders: Sequence[Path], coding: ErasureCoding, clock: Clock, name: str
) -> tuple[ErasureDevice, Reconstructor]:
    """On folders of this host, each of which stands for a disk."""
    scheme = scheme_of(coding)
    builder = Builder(PART_POWER, scheme.fragments)
    for number in range(len(folders)):
        builder.add(zone=number + 1, ip="127.0.0.1", port=0, device=f"d{number}", weight=1)
    builder.rebalance(seed=1, now=0)
    fragments: dict[int, Member] = {}
    records: dict[int, Member] = {}
    for number, folder in enumerate(folders):
        for kind, members in (("fragments", fragments), ("records", records)):
            members[number] = ObjectEngine.on_host(folder / kind, SUFFIX_POWER)
    return assemble(builder.ring(), fragments, records, scheme, clock, name)
