"""Moves as few replicas as needed, so that every device holds its quota and no tier too much of one partition."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterable

from pileus.lib.ring.plan import Plan

Slot = tuple[int, int]
"""Row and partition."""
_TRIES = 400
"""Pairs looked at before an exchange that would balance a device is given up."""


class Assignment:
    """A table under change. `movable(partition)` says whether a replica that has a device may leave it now."""

    def __init__(
        self,
        rows: list[array[int]],
        nobody: int,
        plan: Plan,
        movable: Callable[[int], bool],
        chance: random.Random,
    ) -> None:
        self.rows = rows
        self.nobody = nobody
        self.plan = plan
        self.tiers = plan.tiers
        self.moved: set[int] = set()
        """Partitions of which a replica left a device."""
        self._movable = movable
        self._chance = chance
        self._new: set[int] = set()
        quotas = plan.quotas(sum(map(len, rows)))
        self._room = {self.tiers.leaves[leaf].id: quota for leaf, quota in quotas.items()}
        for row in rows:
            for id_ in row:
                if id_ != nobody:
                    self._room[id_] -= 1
        self._hunger = [0] * len(self.tiers)
        for id_, room in self._room.items():
            if room > 0:
                for node in (0, *self.tiers.path[id_]):
                    self._hunger[node] += room

    def fill(self) -> None:
        """Gives every replica without a device one."""
        empty: dict[int, list[int]] = {}
        for number, row in enumerate(self.rows):
            for partition, id_ in enumerate(row):
                if id_ == self.nobody:
                    empty.setdefault(partition, []).append(number)
        partitions = list(empty)
        self._chance.shuffle(partitions)
        for done, partition in enumerate(partitions):
            if len(empty[partition]) == sum(partition < len(row) for row in self.rows):
                self._new.add(partition)
            placed: list[int] = []
            for number in empty[partition]:
                id_ = self._choose(self._holders(partition), placed, len(partitions) - done)
                placed += self.tiers.path[id_]
                self._put(number, partition, id_)

    def disperse(self) -> None:
        """Takes replicas out of tiers that hold more of a partition than they may."""
        for partition in self._in_any_order(range(len(self.rows[0]))):
            holders = self._holders(partition)
            crowded = self._crowded(holders)
            if not crowded or not self._may_move(partition):
                continue
            leaving = min(crowded, key=lambda id_: (self._room[id_], self._chance.random()))
            others = [id_ for id_ in holders if id_ != leaving]
            others += [leaving] * (holders.count(leaving) - 1)
            target = self._fitting(others, [], 1)
            if target is not None and target != leaving:
                self._move(self._row_of(partition, leaving), partition, target)

    def balance(self) -> None:
        """Takes from devices that hold too much: straight to those that hold too little, or by an exchange with a third."""
        slots: dict[int, list[Slot]] = {}
        for number, row in enumerate(self.rows):
            for partition, id_ in enumerate(row):
                slots.setdefault(id_, []).append((number, partition))
        crowded = [id_ for id_, room in self._room.items() if room < 0]
        for id_ in self._in_any_order(crowded):
            self._chance.shuffle(slots[id_])
            for slot in slots[id_]:
                if self._room[id_] >= 0:
                    break
                target = self._target(id_, slot)
                if target is not None:
                    self._move(*slot, target)
        for id_ in crowded:
            while self._room[id_] < 0 and self._exchange(id_, slots):
                pass

    def _target(self, id_: int, slot: Slot) -> int | None:
        """A hungry device that this replica may go to."""
        if self.rows[slot[0]][slot[1]] != id_ or not self._may_move(slot[1]):
            return None
        return self._search(0, self._others(slot), [], 1, hungry=True)

    def _exchange(self, crowded: int, slots: dict[int, list[Slot]]) -> bool:
        """One replica from the crowded device to a third, and one of the third's to a hungry one."""
        hungry = [id_ for id_, room in self._room.items() if room > 0]
        tries = _TRIES
        for slot in slots.get(crowded, ()):
            if self.rows[slot[0]][slot[1]] != crowded or not self._may_move(slot[1]):
                continue
            others = self._others(slot)
            for third in self._in_any_order(self._room):
                if third == crowded or not slots.get(third) or not self._legal(third, others):
                    continue
                second = self._chance.choice(slots[third])
                tries -= 1
                if tries < 0:
                    return False
                if (
                    second[1] == slot[1]
                    or self.rows[second[0]][second[1]] != third
                    or not self._may_move(second[1])
                ):
                    continue
                rest = self._others(second)
                for target in hungry:
                    if target != third and self._legal(target, rest):
                        self._move(*second, target)
                        self._move(*slot, third)
                        slots[third].append(slot)
                        slots.setdefault(target, []).append(second)
                        return True
        return False

    def _holders(self, partition: int) -> list[int]:
        return [row[partition] for row in self.rows if partition < len(row) and row[partition] != self.nobody]

    def _others(self, slot: Slot) -> list[int]:
        """The devices that hold the partition's other replicas."""
        number, partition = slot
        return [
            row[partition]
            for n, row in enumerate(self.rows)
            if n != number and partition < len(row) and row[partition] != self.nobody
        ]

    def _row_of(self, partition: int, id_: int) -> int:
        return next(n for n, row in enumerate(self.rows) if partition < len(row) and row[partition] == id_)

    def _count(self, node: int, level: int, holders: Iterable[int]) -> int:
        return sum(self.tiers.path[id_][level] == node for id_ in holders)

    def _crowded(self, holders: list[int]) -> set[int]:
        return {
            id_
            for id_ in holders
            for level, node in enumerate(self.tiers.path[id_])
            if self._count(node, level, holders) > self.plan.most[node]
        }

    def _legal(self, id_: int, holders: list[int]) -> bool:
        return all(
            self._count(node, level, holders) < self.plan.most[node]
            for level, node in enumerate(self.tiers.path[id_])
        )

    def _choose(self, holders: list[int], placed: list[int], left: int) -> int:
        found = self._fitting(holders, placed, left)
        if found is not None:
            return found
        # Too many replicas stand where they must not, and may not move yet: the next rebalance puts it right.
        unused = [id_ for id_ in self._room if id_ not in holders] or list(self._room)
        return max(unused, key=lambda id_: (self.plan.wanted[self.tiers.path[id_][-1]] > 0, self._room[id_]))

    def _fitting(self, holders: list[int], placed: list[int], left: int) -> int | None:
        """A hungry device that may take a replica beside `holders`, or else any that may."""
        for hungry in (True, False):
            found = self._search(0, holders, placed, left, hungry=hungry)
            if found is not None:
                return found
        return None

    def _search(
        self, node: int, holders: list[int], placed: list[int], left: int, *, hungry: bool, level: int = 0
    ) -> int | None:
        """The device below `node` with the greatest need that may take a replica beside `holders`."""
        device = self.tiers.leaves.get(node)
        if device is not None:
            return device.id
        ranked = []
        for child in self.tiers.children[node]:
            if hungry and self._hunger[child] <= 0:
                continue
            if self._count(child, level, holders) >= self.plan.most[child]:
                continue
            need = self._hunger[child] / left - placed.count(child)
            if not hungry:
                need = self.plan.wanted[child] - placed.count(child)
            ranked.append((-need, self._chance.random(), child))
        ranked.sort()
        for _, _, child in ranked:
            found = self._search(child, holders, placed, left, hungry=hungry, level=level + 1)
            if found is not None:
                return found
        return None

    def _put(self, number: int, partition: int, id_: int) -> None:
        self.rows[number][partition] = id_
        self._room[id_] -= 1
        if self._room[id_] >= 0:
            for node in (0, *self.tiers.path[id_]):
                self._hunger[node] -= 1

    def _move(self, number: int, partition: int, target: int) -> None:
        source = self.rows[number][partition]
        self._room[source] += 1
        if self._room[source] > 0:
            for node in (0, *self.tiers.path[source]):
                self._hunger[node] += 1
        if partition not in self._new:
            self.moved.add(partition)
        self._put(number, partition, target)

    def _may_move(self, partition: int) -> bool:
        return partition in self._new or (partition not in self.moved and self._movable(partition))

    def _in_any_order(self, things: Iterable[int]) -> list[int]:
        order = list(things)
        self._chance.shuffle(order)
        return order
