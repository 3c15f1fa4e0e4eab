"""The builder: what an operator says of devices, and the table that follows from it with as little moved as needed."""

from __future__ import annotations

import math
import random
from array import array
from collections import Counter
from dataclasses import dataclass
from itertools import chain

import msgspec

from pileus.lib.ring.assign import Assignment
from pileus.lib.ring.device import TYPE_CODES, Device, id_bytes, unassigned
from pileus.lib.ring.plan import Plan
from pileus.lib.ring.report import Dispersion, disperse_report
from pileus.lib.ring.ring import Ring
from pileus.lib.ring.tiers import Tiers

SECONDS_AN_HOUR = 3600


class BuilderError(Exception):
    """The builder can't do that; the message says why, and what helps."""


@dataclass(frozen=True)
class Rebalanced:
    """What a rebalance did and came to."""

    moved: int
    """Partitions of which a replica left a device."""
    balance: float
    dispersion: float


class _Saved(msgspec.Struct, kw_only=True):
    """A builder file: MessagePack of this."""

    part_power: int
    replicas: float
    min_part_hours: int
    overload: float
    version: int
    devices: list[Device | None]
    leaving: list[int]
    rows: list[bytes]
    moved_at_hours: bytes


class Builder:
    """Mutable. All randomness comes from the seed handed to `rebalance`; time is handed in, too."""

    def __init__(
        self, part_power: int, replicas: float, min_part_hours: int = 1, overload: float = 0.0
    ) -> None:
        if not 0 <= part_power <= 32:
            raise BuilderError(f"part power {part_power} is outside of 0 to 32")
        if replicas < 1 or not math.isfinite(replicas):
            raise BuilderError(f"{replicas} replicas: there must be one at least")
        self.part_power = part_power
        self.replicas = replicas
        self.min_part_hours = min_part_hours
        """A partition has at most one replica moved in so many hours, so that data can follow."""
        self.overload = overload
        """The part by which a device may be filled above its weight, where that spreads replicas better."""
        self.version = 0
        self.devices: list[Device | None] = []
        self._leaving: set[int] = set()
        self._rows: list[array[int]] = []
        self._moved_at_hours = array("I", bytes(4 << part_power))

    @property
    def partitions(self) -> int:
        return 1 << self.part_power

    @property
    def present(self) -> list[Device]:
        """The devices, without those that were removed."""
        return [each for each in self.devices if each is not None and each.id not in self._leaving]

    def device(self, device_id: int) -> Device:
        """Raises BuilderError where there is none."""
        found = self.devices[device_id] if 0 <= device_id < len(self.devices) else None
        if found is None or device_id in self._leaving:
            raise BuilderError(f"there is no device {device_id}")
        return found

    def add(
        self,
        *,
        zone: int,
        ip: str,
        port: int,
        device: str,
        weight: float,
        region: int = 1,
        replication_ip: str | None = None,
        replication_port: int | None = None,
        meta: str = "",
    ) -> Device:
        """A new device; partitions come to it with the next rebalance."""
        if weight < 0 or not math.isfinite(weight):
            raise BuilderError(f"weight {weight} is not a share")
        for other in self.devices:
            if other is not None and (other.ip, other.port, other.device) == (ip, port, device):
                raise BuilderError(f"{ip}:{port}/{device} is in the ring already, as device {other.id}")
        taken = next((n for n, each in enumerate(self.devices) if each is None), len(self.devices))
        added = Device(
            id=taken,
            region=region,
            zone=zone,
            ip=ip,
            port=port,
            device=device,
            weight=float(weight),
            replication_ip=replication_ip,
            replication_port=replication_port,
            meta=meta,
        )
        self.devices[taken : taken + 1] = [added]
        self.version += 1
        return added

    def set_weight(self, device_id: int, weight: float) -> None:
        """0 drains a device over time, as `min_part_hours` allows."""
        if weight < 0 or not math.isfinite(weight):
            raise BuilderError(f"weight {weight} is not a share")
        self.devices[device_id] = msgspec.structs.replace(self.device(device_id), weight=float(weight))
        self.version += 1

    def remove(self, device_id: int) -> None:
        """The device is gone: the next rebalance moves all of its partitions, whenever they moved last."""
        self.device(device_id)
        self._leaving.add(device_id)
        self.version += 1

    def set_replicas(self, replicas: float) -> None:
        if replicas < 1 or not math.isfinite(replicas):
            raise BuilderError(f"{replicas} replicas: there must be one at least")
        self.replicas = replicas
        self.version += 1

    def set_overload(self, overload: float) -> None:
        if overload < 0 or not math.isfinite(overload):
            raise BuilderError(f"overload {overload} is not a part: 0.1 is a tenth")
        self.overload = overload
        self.version += 1

    def set_min_part_hours(self, hours: int) -> None:
        self.min_part_hours = hours
        self.version += 1

    def forget_moves(self) -> None:
        """Every partition may move again, whatever `min_part_hours` says."""
        self._moved_at_hours = array("I", bytes(4 << self.part_power))

    def rebalance(self, seed: int, now: float) -> Rebalanced:
        """Assigns what has no device and moves what must; `now` in seconds since 1970."""
        plan = self._plan()
        self._resize()
        nobody = unassigned(self._rows[0].itemsize)
        hours = int(now) // SECONDS_AN_HOUR
        removed = self._let_go(nobody)
        assignment = Assignment(
            self._rows,
            nobody,
            plan,
            lambda partition: (
                partition not in removed and hours - self._moved_at_hours[partition] >= self.min_part_hours
            ),
            random.Random(seed),
        )
        assignment.fill()
        assignment.disperse()
        assignment.balance()
        for partition in assignment.moved | removed:
            self._moved_at_hours[partition] = hours
        self.version += 1
        return Rebalanced(len(assignment.moved | removed), self.balance(), self.dispersion().percent)

    def _plan(self) -> Plan:
        if not any(each.weight > 0 for each in self.present):
            raise BuilderError("no device has a weight: add one, or set a weight above 0")
        return Plan(Tiers(self.present), self.replicas, self.overload)

    def _let_go(self, nobody: int) -> set[int]:
        """Takes leaving devices out of the table; returns the partitions they held."""
        affected = set()
        for row in self._rows:
            for partition, id_ in enumerate(row):
                if id_ in self._leaving:
                    row[partition] = nobody
                    affected.add(partition)
        for id_ in self._leaving:
            self.devices[id_] = None
        self._leaving.clear()
        return affected

    def _resize(self) -> None:
        """As many rows, as long, as the replicas and the highest device id ask for."""
        width = id_bytes(len(self.devices))
        nobody = unassigned(width)
        whole = int(self.replicas)
        lengths = [self.partitions] * whole
        if rest := int(self.partitions * (self.replicas - whole)):
            lengths.append(rest)
        rows = []
        for number, length in enumerate(lengths):
            old = self._rows[number][:length] if number < len(self._rows) else array(TYPE_CODES[width])
            was_nobody = unassigned(old.itemsize)
            row = array(TYPE_CODES[width], (nobody if id_ == was_nobody else id_ for id_ in old))
            row.extend([nobody] * (length - len(row)))
            rows.append(row)
        self._rows = rows

    def ring(self) -> Ring:
        """A copy of what is assigned now. Raises BuilderError before the first rebalance."""
        if not self._rows:
            raise BuilderError("nothing is assigned yet: rebalance first")
        devices = [None if each is None or each.id in self._leaving else each for each in self.devices]
        if any(devices[id_] is None for row in self._rows for id_ in set(row)):
            raise BuilderError("a removed device still holds partitions: rebalance first")
        return Ring(
            [array(row.typecode, row) for row in self._rows], devices, self.part_power, version=self.version
        )

    def balance(self) -> float:
        """By how many percent the worst device is off the share that its weight gives it."""
        held = self.held()
        worst = 0.0
        for device_id, ideal in self.ideal().items():
            if ideal:
                worst = max(worst, abs(held.get(device_id, 0) / ideal - 1) * 100)
            elif held.get(device_id):
                worst = 999.99
        return worst

    def held(self) -> Counter[int]:
        """How many replicas of partitions each device has, by its id."""
        return Counter(chain.from_iterable(self.ring().rows))

    def ideal(self) -> dict[int, float]:
        """How many it would have if weights alone decided."""
        plan = self._plan()
        return {
            device.id: plan.by_weight[leaf] * self.partitions for leaf, device in plan.tiers.leaves.items()
        }

    def required_overload(self) -> float:
        """The least `overload` at which replicas are spread as well as the tiers allow."""
        return max(0.0, self._plan().required_overload)

    def dispersion(self) -> Dispersion:
        """How many replicas stand closer together than the tiers would allow."""
        return disperse_report(self.ring(), self._plan())

    def dump(self) -> bytes:
        """A builder file, which `load` reads."""
        return msgspec.msgpack.encode(
            _Saved(
                part_power=self.part_power,
                replicas=self.replicas,
                min_part_hours=self.min_part_hours,
                overload=self.overload,
                version=self.version,
                devices=self.devices,
                leaving=sorted(self._leaving),
                rows=[row.tobytes() for row in self._rows],
                moved_at_hours=self._moved_at_hours.tobytes(),
            )
        )

    @classmethod
    def load(cls, data: bytes) -> Builder:
        """Raises BuilderError where `data` is no builder file."""
        try:
            saved = msgspec.msgpack.decode(data, type=_Saved)
        except msgspec.DecodeError as error:
            raise BuilderError(f"this is no builder file: {error}") from error
        builder = cls(saved.part_power, saved.replicas, saved.min_part_hours, saved.overload)
        builder.version = saved.version
        builder.devices = saved.devices
        builder._leaving = set(saved.leaving)
        builder._moved_at_hours = array("I", saved.moved_at_hours)
        if saved.rows:
            width = len(saved.rows[0]) >> saved.part_power
            builder._rows = [array(TYPE_CODES[width], row) for row in saved.rows]
        return builder
