"""An erasure-coded device over disks in memory, which can be away, full or broken."""

from __future__ import annotations

from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.erasure.code import Scheme, best
from pileus.drivers.object.erasure.device import ErasureDevice
from pileus.drivers.object.erasure.places import Places
from pileus.drivers.object.sim import MemoryFiles
from pileus.lib.ring import Builder

SMALL_VOLUMES = 1024 * 1024
SEGMENT = 64 * 1024


class Rig:
    """`data`+`parity` over so many members, and a disk of its own for the records."""

    def __init__(
        self, data: int, parity: int, members: int, segment_bytes: int = SEGMENT, power: int = 3
    ) -> None:
        self.scheme = Scheme(best(), data, parity, segment_bytes)
        builder = Builder(power, data + parity)
        for number in range(members):
            builder.add(zone=number, ip=f"10.0.0.{number}", port=1, device="d", weight=1)
        builder.rebalance(1, 1e9)
        self.ring = builder.ring()
        self.disks = [MemoryFiles() for _ in range(members)]
        self.records_disk = MemoryFiles()
        self.members: dict[int, ObjectEngine] = {}

    def device(self, **more: float) -> ErasureDevice:
        """Again: after a restart."""
        self.members = {
            number: ObjectEngine(disk, volume_bytes=SMALL_VOLUMES) for number, disk in enumerate(self.disks)
        }
        records = ObjectEngine(self.records_disk, volume_bytes=SMALL_VOLUMES)
        return ErasureDevice(records, Places(self.ring, self.members), self.scheme, **more)
