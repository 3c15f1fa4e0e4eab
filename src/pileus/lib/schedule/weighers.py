"""Preferences among the hosts that will do. Names are Nova's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from pileus.lib.schedule.model import HostState, RequestSpec
from pileus.lib.schedule.registry import Registry


class Weigher(Protocol):
    def __call__(self, host: HostState, spec: RequestSpec) -> float:
        """The higher, the better the host; in any unit, as weights are scaled among the hosts at hand."""


WEIGHERS: Final[Registry[Weigher]] = Registry("weigher")


@WEIGHERS.register("RAMWeigher")
def ram(host: HostState, spec: RequestSpec) -> float:
    return host.free_memory_mib


@WEIGHERS.register("CPUWeigher")
def cpu(host: HostState, spec: RequestSpec) -> float:
    return host.free_vcpus


@WEIGHERS.register("DiskWeigher")
def disk(host: HostState, spec: RequestSpec) -> float:
    return host.free_disk_gib


@WEIGHERS.register("ServerGroupSoftAffinityWeigher")
def soft_affinity(host: HostState, spec: RequestSpec) -> float:
    if spec.group is None or spec.group.policy != "soft-affinity":
        return 0
    return spec.group.members.get(host.host, 0)


@WEIGHERS.register("ServerGroupSoftAntiAffinityWeigher")
def soft_anti_affinity(host: HostState, spec: RequestSpec) -> float:
    if spec.group is None or spec.group.policy != "soft-anti-affinity":
        return 0
    return -spec.group.members.get(host.host, 0)


def weigh(
    hosts: Sequence[HostState], spec: RequestSpec, weighers: Iterable[tuple[Weigher, float]]
) -> list[float]:
    """The weight of each host: for each weigher its values scaled to 0..1, times its multiplier, summed.

    A weigher to which all hosts are equal does not count. Negative multipliers turn a preference round.
    """
    totals = [0.0] * len(hosts)
    for weigher, multiplier in weighers:
        values = [weigher(host, spec) for host in hosts]
        least, most = min(values, default=0.0), max(values, default=0.0)
        if most > least and multiplier:
            scale = multiplier / (most - least)
            totals = [total + (value - least) * scale for total, value in zip(totals, values, strict=True)]
    return totals
