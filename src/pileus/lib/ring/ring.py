"""The ring: a hash, a shift, an index."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from hashlib import md5
from itertools import chain

from pileus.lib.ring.device import Device

Row = Sequence[int]
"""A device id for each partition: an `array`, or a `memoryview` over bytes that somebody else maps."""


class NameHash:
    """Names to 128-bit hashes. Prefix and suffix are the cluster's secret, so that nobody can aim at a partition."""

    __slots__ = ("_prefix", "_suffix")

    def __init__(self, prefix: str = "", suffix: str = "") -> None:
        self._prefix = prefix + "/"
        self._suffix = suffix

    def __call__(self, path: str) -> bytes:
        """`path` is `account`, `account/container` or `account/container/object`."""
        return md5((self._prefix + path + self._suffix).encode(), usedforsecurity=False).digest()


class Ring:
    """Immutable. `rows` holds one row a replica; the last may be shorter where replicas are fractional."""

    def __init__(
        self,
        rows: Sequence[Row],
        devices: Sequence[Device | None],
        part_power: int,
        *,
        version: int | None = None,
        next_part_power: int | None = None,
        name_hash: NameHash | None = None,
    ) -> None:
        self.rows = tuple(rows)
        self.devices = tuple(devices)
        self.part_power = part_power
        self.version = version
        """Counts the builder's changes; None where the builder did not say."""
        self.next_part_power = next_part_power
        """Set while an operator doubles the partitions."""
        self.name_hash = name_hash or NameHash()
        self._shift = 32 - part_power

    @property
    def partitions(self) -> int:
        return 1 << self.part_power

    @property
    def replicas(self) -> float:
        if not self.rows:
            return 0.0
        return len(self.rows) - 1 + len(self.rows[-1]) / len(self.rows[0])

    @cached_property
    def digest(self) -> str:
        """The same for two rings only where both place everything alike."""
        found = md5(repr((self.part_power, self.devices)).encode(), usedforsecurity=False)
        for row in self.rows:
            found.update(array("I", row).tobytes())
        return found.hexdigest()

    def partition(self, path: str) -> int:
        """Where a name lives; for `path` see `NameHash`."""
        return int.from_bytes(self.name_hash(path)[:4], "big") >> self._shift

    def primaries(self, partition: int) -> list[Device]:
        """The devices that ought to hold a partition, each once, in order of replicas."""
        found: dict[int, Device] = {}
        for row in self.rows:
            if partition < len(row):
                device = self.devices[row[partition]]
                if device is not None:
                    found[device.id] = device
        return list(found.values())

    def lookup(self, path: str) -> tuple[int, list[Device]]:
        """A name's partition, and its primaries."""
        partition = self.partition(path)
        return partition, self.primaries(partition)

    def handoffs(self, partition: int) -> Iterator[Device]:
        """All other devices that hold anything, in the order in which they stand in for a primary that is away.

        First one of each region that has no replica, then of each zone, each server, then the rest; each round walks the
        ring from a place that the partition's number decides, so neighbours spread their load.
        """
        primaries = self.primaries(partition)
        used = {device.id for device in primaries}
        chosen = list(primaries)
        for key, everything in self._tiers:
            seen = {key(device) for device in chosen}
            if len(seen) >= len(everything):
                continue
            for device in self._walk(partition):
                if device.id not in used and key(device) not in seen:
                    yield device
                    used.add(device.id)
                    chosen.append(device)
                    seen.add(key(device))
                    if len(seen) == len(everything):
                        break

    def _walk(self, partition: int) -> Iterator[Device]:
        count = self.partitions
        digest = md5(str(partition).encode(), usedforsecurity=False).digest()
        start = int.from_bytes(digest[:4], "big") >> self._shift
        step = count // 65536 or 1
        for other in chain(range(start, count, step), range(step - (count - start) % step, start, step)):
            for row in self.rows:
                if other < len(row):
                    device = self.devices[row[other]]
                    if device is not None:
                        yield device

    @cached_property
    def _tiers(self) -> list[tuple[Callable[[Device], object], set[object]]]:
        """Ways of being apart, the widest first, each with all values that devices with partitions have."""
        ids = set(chain.from_iterable(set(row) for row in self.rows))
        held = [device for device in self.devices if device is not None and device.id in ids]
        keys: list[Callable[[Device], object]] = [
            lambda device: device.region,
            lambda device: (device.region, device.zone),
            lambda device: device.server,
            lambda device: device.id,
        ]
        return [(key, {key(device) for device in held}) for key in keys]
