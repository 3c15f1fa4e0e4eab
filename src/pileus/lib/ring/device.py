"""A place that can hold replicas."""

from __future__ import annotations

import msgspec

UNASSIGNED_16 = 0xFFFF
"""Stands in a table of 16-bit device ids for a replica without a device."""
UNASSIGNED_32 = 0xFFFFFFFF


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One disk of one server, with the names that ring files use."""

    id: int
    region: int = 1
    zone: int
    ip: str
    port: int
    device: str
    """Its name on the server, as `sdb1`."""
    weight: float
    """Its share of the partitions, relative to the others'; 0 drains it."""
    replication_ip: str | None = None
    replication_port: int | None = None
    meta: str = ""

    def __post_init__(self) -> None:
        if self.replication_ip is None:
            msgspec.structs.force_setattr(self, "replication_ip", self.ip)
        if self.replication_port is None:
            msgspec.structs.force_setattr(self, "replication_port", self.port)

    @property
    def server(self) -> tuple[int, int, str]:
        """What fails as one: region, zone, address."""
        return self.region, self.zone, self.ip


def id_bytes(highest_id: int) -> int:
    """Bytes that a table needs for each device id. Two, unless there are too many."""
    return 2 if highest_id < UNASSIGNED_16 else 4


def unassigned(item_bytes: int) -> int:
    return UNASSIGNED_16 if item_bytes == 2 else UNASSIGNED_32


TYPE_CODES = {2: "H", 4: "I"}
"""`array` type codes by bytes of a device id."""
