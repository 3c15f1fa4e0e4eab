"""What a server can be, and what may be done with it when. Pure functions.

`vm_state` is what the server is, `task_state` what is being done with it; together they give the `status`
that users see. Source: the API guide, "Server concepts".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Any, Final


class VmState(StrEnum):
    BUILDING = "building"
    ACTIVE = "active"
    STOPPED = "stopped"
    ERROR = "error"
    DELETED = "deleted"


class Task(StrEnum):
    SCHEDULING = "scheduling"
    NETWORKING = "networking"
    SPAWNING = "spawning"
    POWERING_OFF = "powering-off"
    POWERING_ON = "powering-on"
    REBOOTING = "rebooting"
    REBOOTING_HARD = "rebooting_hard"
    DELETING = "deleting"
    SNAPSHOT_PENDING = "image_snapshot_pending"
    SNAPSHOT = "image_snapshot"
    SNAPSHOT_UPLOADING = "image_uploading"


class PowerState(IntEnum):
    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6
    SUSPENDED = 7


STATUS: Final[dict[tuple[str, str | None], str]] = {
    (VmState.ACTIVE, Task.REBOOTING): "REBOOT",
    (VmState.ACTIVE, Task.REBOOTING_HARD): "HARD_REBOOT",
    (VmState.STOPPED, Task.REBOOTING_HARD): "HARD_REBOOT",
    (VmState.ERROR, Task.REBOOTING_HARD): "HARD_REBOOT",
}
"""Where a task shows in the status."""

_PLAIN: Final[dict[str, str]] = {
    VmState.BUILDING: "BUILD",
    VmState.ACTIVE: "ACTIVE",
    VmState.STOPPED: "SHUTOFF",
    VmState.ERROR: "ERROR",
    VmState.DELETED: "DELETED",
}
KNOWN_STATUSES: Final = frozenset(
    [
        "ACTIVE",
        "BUILD",
        "DELETED",
        "ERROR",
        "HARD_REBOOT",
        "MIGRATING",
        "PASSWORD",
        "PAUSED",
        "REBOOT",
        "REBUILD",
        "RESCUE",
        "RESIZE",
        "REVERT_RESIZE",
        "SHELVED",
        "SHELVED_OFFLOADED",
        "SHUTOFF",
        "SOFT_DELETED",
        "SUSPENDED",
        "UNKNOWN",
        "VERIFY_RESIZE",
    ]
)
PROGRESSING: Final = frozenset({"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING"})
"""Statuses that come with a `progress`."""
WITH_FAULT: Final = frozenset({"ERROR", "DELETED"})
"""Statuses that come with the `fault`, where there is one."""


def status_of(vm_state: str, task_state: str | None) -> str:
    """What users see."""
    if task_state is not None and (status := STATUS.get((vm_state, task_state))) is not None:
        return status
    return _PLAIN.get(vm_state, "UNKNOWN")


def states_of(status: str) -> list[tuple[str, list[str], bool]]:
    """The states that a status stands for, to filter by: (vm_state, task_states, whether any but these)."""
    found: list[tuple[str, list[str], bool]] = []
    for vm_state, plain in _PLAIN.items():
        special = [task or "" for (vm, task), _ in STATUS.items() if vm == vm_state]
        if plain == status:
            found.append((vm_state, special, True))
        elif mine := [task or "" for (vm, task), each in STATUS.items() if vm == vm_state and each == status]:
            found.append((vm_state, mine, False))
    return found


ALLOWED: Final[dict[str, frozenset[str]]] = {
    "start": frozenset({VmState.STOPPED}),
    "stop": frozenset({VmState.ACTIVE, VmState.ERROR}),
    "createImage": frozenset({VmState.ACTIVE, VmState.STOPPED}),
    "reboot_soft": frozenset({VmState.ACTIVE}),
    "reboot_hard": frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.ERROR}),
    "attach_interface": frozenset({VmState.ACTIVE, VmState.STOPPED}),
    "detach_interface": frozenset({VmState.ACTIVE, VmState.STOPPED}),
    "add_security_group": frozenset({VmState.ACTIVE, VmState.STOPPED}),
    "set_admin_password": frozenset({VmState.ACTIVE}),
    "get_diagnostics": frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.ERROR}),
    "update_metadata": frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.BUILDING, VmState.ERROR}),
}
"""In which states an action may begin."""


@lru_cache(maxsize=65536)
def host_id(project_id: str, host: str | None) -> str:
    """An opaque name for a host, different for each project, so that users may compare without learning."""
    if not host:
        return ""
    return hashlib.sha224((project_id + host).encode()).hexdigest()


def sanitised_hostname(name: str, default: str) -> str:
    """A hostname (RFC 1123, one label) made from a server's name."""
    text = re.sub(r"[ _.]", "-", name.encode("ascii", "ignore").decode().lower())
    text = re.sub(r"[^a-z0-9-]+", "", text).strip("-")[:63].strip("-")
    return text or default


def instance_name(server_id: str) -> str:
    """The name that administrators know the guest by."""
    return "instance-" + server_id.replace("-", "")[:8]


def format_on_host(image: Mapping[str, Any]) -> str:
    """An image's format as hypervisors name it: one of container format `docker` holds a root filesystem."""
    return "rootfs" if image.get("container_format") == "docker" else str(image["disk_format"])
