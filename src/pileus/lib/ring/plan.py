"""How many replicas of each partition every tier ought to hold: between what weights say and what dispersion wants."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pileus.lib.ring.tiers import Tiers

_NOISE = 1e-9


class Plan:
    """`wanted[node]` is the mean number of replicas of a partition that a tier holds; the root's is all of them."""

    def __init__(self, tiers: Tiers, replicas: float, overload: float) -> None:
        self.tiers = tiers
        self.by_weight = _by_weight(tiers, replicas)
        dispersed = _dispersed(tiers, replicas)
        self.required_overload = max(
            (dispersed[leaf] / self.by_weight[leaf] - 1 for leaf in tiers.leaves if self.by_weight[leaf] > 0),
            default=0.0,
        )
        """The least overload at which no tier holds more replicas of a partition than it must."""
        share = 1.0
        if overload < self.required_overload - _NOISE:
            share = overload / self.required_overload
        self.wanted = tiers.sums(
            {
                leaf: self.by_weight[leaf] + share * (dispersed[leaf] - self.by_weight[leaf])
                for leaf in tiers.leaves
            }
        )
        self.most = [math.ceil(wanted - 1e-6) for wanted in self.wanted]
        """Replicas of one partition that a tier may hold at most."""

    def quotas(self, total: int) -> dict[int, int]:
        """Whole part-replicas for each leaf, `total` of them; every tier gets its share, rounded up or down."""
        found = [0] * len(self.tiers)
        found[0] = total
        for node in range(len(self.tiers)):
            children = self.tiers.children[node]
            if not children or not found[node]:
                continue
            ideal = [found[node] * self.wanted[child] / self.wanted[node] for child in children]
            whole = [int(each + _NOISE) for each in ideal]
            by_rest = sorted(range(len(children)), key=lambda n: (whole[n] - ideal[n], children[n]))
            for n in by_rest[: found[node] - sum(whole)]:
                whole[n] += 1
            for child, amount in zip(children, whole, strict=True):
                found[child] = amount
        return {leaf: found[leaf] for leaf in self.tiers.leaves}


def split(
    total: float, weights: Sequence[float], floors: Sequence[float], ceilings: Sequence[float]
) -> list[float]:
    """`total` in proportion to `weights`, each share within its bounds; the bounds' sums must allow it."""
    shares = [0.0] * len(weights)
    free = [n for n, weight in enumerate(weights) if weight > 0]
    left = total
    while free:
        per_weight = left / sum(weights[n] for n in free)
        low = [n for n in free if weights[n] * per_weight < floors[n] - _NOISE]
        high = [n for n in free if weights[n] * per_weight > ceilings[n] + _NOISE]
        if not low and not high:
            for n in free:
                shares[n] = weights[n] * per_weight
            break
        lacking = sum(floors[n] - weights[n] * per_weight for n in low)
        too_much = sum(weights[n] * per_weight - ceilings[n] for n in high)
        bound, chosen = (floors, low) if lacking > too_much else (ceilings, high)
        for n in chosen:
            shares[n] = bound[n]
            left -= bound[n]
        free = [n for n in free if n not in set(chosen)]
    return shares


def _cap(tiers: Tiers, replicas: float) -> float:
    """Replicas of a partition that one device must be ready to hold: one, unless there are too few devices."""
    return max(1.0, replicas / tiers.room[0])


def _by_weight(tiers: Tiers, replicas: float) -> dict[int, float]:
    leaves = list(tiers.leaves)
    cap = _cap(tiers, replicas)
    weights = [tiers.weight[leaf] for leaf in leaves]
    shares = split(replicas, weights, [0.0] * len(leaves), [cap] * len(leaves))
    return dict(zip(leaves, shares, strict=True))


def _dispersed(tiers: Tiers, replicas: float) -> dict[int, float]:
    """From the root down, as evenly as tiers have devices; among equals by weight."""
    cap = _cap(tiers, replicas)
    found = [0.0] * len(tiers)
    found[0] = replicas
    for node in range(len(tiers)):
        children = tiers.children[node]
        if not children or found[node] <= 0:
            continue
        most = [tiers.room[child] * cap for child in children]
        level = 1
        while sum(min(each, level) for each in most) < found[node] - _NOISE:
            level += 1
        shares = split(
            found[node],
            [tiers.weight[child] for child in children],
            [min(each, level - 1) for each in most],
            [min(each, level) for each in most],
        )
        for child, share in zip(children, shares, strict=True):
            found[child] = share
    return {leaf: found[leaf] for leaf in tiers.leaves}
