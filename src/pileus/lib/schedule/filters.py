"""Conditions that a host must meet. Names are Nova's, for `enabled_filters` that operators know."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from pileus.lib.schedule.extra_specs import matches
from pileus.lib.schedule.model import HostState, RequestSpec
from pileus.lib.schedule.registry import Registry

AGGREGATE_SCOPE: Final = "aggregate_instance_extra_specs"


class Filter(Protocol):
    def __call__(self, host: HostState, spec: RequestSpec) -> str | None:
        """Why the host will not do, or None when it will. The reason names no host: others read it too."""


FILTERS: Final[Registry[Filter]] = Registry("filter")


@FILTERS.register("ComputeFilter")
def compute(host: HostState, spec: RequestSpec) -> str | None:
    """The compute service is up and enabled."""
    if not host.enabled:
        return "disabled" + (f" ({host.disabled_reason})" if host.disabled_reason else "")
    return None if host.up else "not reporting (its compute service is down)"


@FILTERS.register("AvailabilityZoneFilter")
def availability_zone(host: HostState, spec: RequestSpec) -> str | None:
    if spec.availability_zone is None or spec.availability_zone == host.zone:
        return None
    return f"not in availability zone {spec.availability_zone}"


@FILTERS.register("RequestedHostFilter")
def requested_host(host: HostState, spec: RequestSpec) -> str | None:
    return None if spec.host is None or spec.host == host.host else f"not the requested host {spec.host}"


@FILTERS.register("RetryFilter")
def retry(host: HostState, spec: RequestSpec) -> str | None:
    return "already tried without success" if host.host in spec.tried_hosts else None


@FILTERS.register("ImagePropertiesFilter")
def image_properties(host: HostState, spec: RequestSpec) -> str | None:
    """The hypervisor is the one that flavor (`hw:hypervisor`) and image ask for, and starts such images."""
    properties = spec.image_properties
    for wanted in (
        spec.extra_specs.get("hw:hypervisor"),
        properties.get("img_hv_type") or properties.get("hypervisor_type"),
    ):
        if wanted and wanted.lower() != host.hypervisor_type.lower():
            return f"not of hypervisor type {wanted}"
    arch = properties.get("hw_architecture") or properties.get("architecture")
    if arch and arch.lower() != host.arch.lower():
        return f"not of architecture {arch}"
    if spec.disk_format is not None and spec.disk_format not in host.disk_formats:
        return f"unable to start images of format {spec.disk_format}"
    return None


@FILTERS.register("AggregateInstanceExtraSpecsFilter")
def aggregate_instance_extra_specs(host: HostState, spec: RequestSpec) -> str | None:
    """The aggregates' metadata match the flavor's extra specs without scope, or of this filter's scope."""
    for key, wanted in spec.extra_specs.items():
        scope, _, name = key.rpartition(":")
        if scope not in ("", AGGREGATE_SCOPE):
            continue
        if not any(matches(value, wanted) for value in host.metadata.get(name, ())):
            return f"not in an aggregate whose {name} is {wanted}"
    return None


@FILTERS.register("ServerGroupAffinityFilter")
def server_group_affinity(host: HostState, spec: RequestSpec) -> str | None:
    if spec.group is None or spec.group.policy != "affinity" or not spec.group.members:
        return None
    return None if host.host in spec.group.members else "not where the server group is (policy affinity)"


@FILTERS.register("ServerGroupAntiAffinityFilter")
def server_group_anti_affinity(host: HostState, spec: RequestSpec) -> str | None:
    if spec.group is None or spec.group.policy != "anti-affinity":
        return None
    if spec.group.members.get(host.host, 0) < spec.group.max_server_per_host:
        return None
    return "holding as many servers of the server group as it may (policy anti-affinity)"


@FILTERS.register("DifferentHostFilter")
def different_host(host: HostState, spec: RequestSpec) -> str | None:
    return None if spec.different_host.isdisjoint(host.servers) else "excluded by the hint different_host"


@FILTERS.register("SameHostFilter")
def same_host(host: HostState, spec: RequestSpec) -> str | None:
    if not spec.same_host or not spec.same_host.isdisjoint(host.servers):
        return None
    return "holding none of the servers of the hint same_host"


def first_refusal(
    host: HostState, spec: RequestSpec, filters: Iterable[tuple[str, Filter]]
) -> tuple[str, str] | None:
    """(name of the filter, reason) of the first filter that refuses the host."""
    for name, check in filters:
        reason = check(host, spec)
        if reason is not None:
            return name, reason
    return None
