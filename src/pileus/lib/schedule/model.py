"""What the scheduler knows of hosts and of the server to place: plain data, whoever gathered it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec


class HostState(msgspec.Struct, frozen=True, kw_only=True):
    """A compute host that placement has found to have room."""

    host: str
    zone: str = "nova"
    enabled: bool = True
    disabled_reason: str | None = None
    up: bool = True
    """Whether its compute service has reported lately."""
    hypervisor_type: str = "QEMU"
    arch: str = "x86_64"
    disk_formats: frozenset[str] = frozenset({"qcow2", "raw"})
    """Image formats that its hypervisor starts from."""
    free_vcpus: float = 0
    free_memory_mib: float = 0
    free_disk_gib: float = 0
    """Room that is left, overcommitment included; negative when there is less than none."""
    servers: frozenset[str] = frozenset()
    """Ids of the servers on it, as far as hints ask for them."""
    metadata: Mapping[str, frozenset[str]] = {}
    """Of its aggregates: all values of each key."""


class ServerGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The server group that the new server joins."""

    policy: Literal["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"]
    members: Mapping[str, int] = {}
    """How many servers of the group are on each host."""
    max_server_per_host: int = 1
    """For `anti-affinity`."""


class RequestSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The server to place, as far as the choice of a host depends on it."""

    availability_zone: str | None = None
    host: str | None = None
    """The one host that an administrator asked for."""
    extra_specs: Mapping[str, str] = {}
    disk_format: str | None = None
    """Of its image; None when it boots from a volume."""
    image_properties: Mapping[str, str] = {}
    different_host: frozenset[str] = frozenset()
    same_host: frozenset[str] = frozenset()
    """Scheduler hints: ids of servers whose hosts to avoid, or to choose from."""
    group: ServerGroup | None = None
    tried_hosts: frozenset[str] = frozenset()
    """Hosts where building it has failed already."""
