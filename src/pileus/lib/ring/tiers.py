"""Devices as a tree of what fails together: regions, zones, servers, devices."""

from __future__ import annotations

from collections.abc import Iterable

from pileus.lib.ring.device import Device

LEVELS = ("region", "zone", "server", "device")


class Tiers:
    """Nodes are numbers; 0 is the root. `path[device id]` holds a node of each level."""

    def __init__(self, devices: Iterable[Device]) -> None:
        self.children: list[list[int]] = [[]]
        self.path: dict[int, tuple[int, ...]] = {}
        self.names: list[tuple[object, ...]] = [()]
        self.leaves: dict[int, Device] = {}
        """The device at a node of the lowest level."""
        self.weight: list[float] = [0.0]
        self.room: list[int] = [0]
        """Devices with a weight below a node."""
        nodes: dict[tuple[object, ...], int] = {(): 0}
        for device in devices:
            name = (device.region, device.zone, device.ip, device.id)
            path = []
            for length in range(1, 5):
                node = nodes.get(name[:length])
                if node is None:
                    node = nodes[name[:length]] = self._add(nodes[name[: length - 1]], name[:length])
                path.append(node)
            self.path[device.id] = tuple(path)
            self.leaves[path[-1]] = device
            for node in (0, *path):
                self.weight[node] += device.weight
                self.room[node] += device.weight > 0

    def _add(self, parent: int, name: tuple[object, ...]) -> int:
        node = len(self.children)
        self.children.append([])
        self.names.append(name)
        self.weight.append(0.0)
        self.room.append(0)
        self.children[parent].append(node)
        return node

    def __len__(self) -> int:
        return len(self.children)

    def sums(self, leaf_values: dict[int, float]) -> list[float]:
        """For each node the sum of its leaves' values."""
        found = [0.0] * len(self)
        for leaf, device in self.leaves.items():
            found[0] += leaf_values[leaf]
            for node in self.path[device.id]:
                found[node] += leaf_values[leaf]
        return found
