"""How well replicas are spread."""

from __future__ import annotations

from dataclasses import dataclass

from pileus.lib.ring.plan import Plan
from pileus.lib.ring.ring import Ring
from pileus.lib.ring.tiers import LEVELS


@dataclass(frozen=True)
class TierSpread:
    """Of one tier: how many partitions have no, one, two … replicas in it."""

    level: str
    name: tuple[object, ...]
    """Region, zone, address, device id: as many as the level has."""
    allowed: int
    """Replicas of one partition that it may hold."""
    partitions: tuple[int, ...]

    @property
    def too_many(self) -> int:
        """Replicas beyond what is allowed."""
        return sum(
            (held - self.allowed) * count for held, count in enumerate(self.partitions) if held > self.allowed
        )


@dataclass(frozen=True)
class Dispersion:
    percent: float
    """Replicas that stand where one of their partition too many is, of all replicas; from 0 to 100. Each is counted once,
    at the level that has most of them."""
    tiers: tuple[TierSpread, ...]


def disperse_report(ring: Ring, plan: Plan) -> Dispersion:
    """Looks at every partition in every tier."""
    tiers = plan.tiers
    counts: list[dict[int, int]] = [{} for _ in range(len(tiers))]
    misplaced = 0
    for partition in range(ring.partitions):
        held: dict[int, int] = {}
        for row in ring.rows:
            if partition < len(row):
                for node in tiers.path[row[partition]]:
                    held[node] = held.get(node, 0) + 1
        for node, count in held.items():
            counts[node][count] = counts[node].get(count, 0) + 1
        beyond = dict.fromkeys(LEVELS, 0)
        for node, count in held.items():
            beyond[LEVELS[len(tiers.names[node]) - 1]] += max(0, count - plan.most[node])
        misplaced += max(beyond.values())
    spreads = []
    for node in range(1, len(tiers)):
        seen = counts[node]
        none = ring.partitions - sum(seen.values())
        spreads.append(
            TierSpread(
                LEVELS[len(tiers.names[node]) - 1],
                tiers.names[node],
                plan.most[node],
                (none, *(seen.get(n, 0) for n in range(1, max(seen, default=0) + 1))),
            )
        )
    total = sum(map(len, ring.rows))
    return Dispersion(100.0 * misplaced / total, tuple(spreads))
