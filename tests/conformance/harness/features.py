"""What the cloud does not have yet, as far as Tempest can be told; everything else in the template is on.

A line leaves this file when the cloud has learned the thing; then the tests that it held back run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

SERVICE_TYPES = {
    "nova": "compute",
    "glance": "image",
    "cinder": "block-storage",
    "neutron": "network",
    "swift": "object-store",
    "heat": "orchestration",
    "designate": "dns",
    "load_balancer": "load-balancer",
    "magnum": "container-infra",
    "zaqar": "messaging",
    "trove": "database",
    "aodh": "alarming",
    "gnocchi": "metric",
    "ceilometer": "metering",
    "barbican": "key-manager",
}
"""Tempest's name in [service_available], and the type that a catalog lists."""


@dataclass(frozen=True)
class Absent:
    """A setting of the template that does not hold yet."""

    section: str
    option: str
    value: str
    why: str


_SERVER_ACTIONS = "comes with the rest of the server's actions"
_VOLUMES = "needs volumes"
_QOS = "QoS comes when network is made whole"

NOT_YET = (
    Absent(
        "image-feature-enabled",
        "store_weight_enabled",
        "false",
        "one store to write to; two in area image-stores",
    ),
    Absent("compute", "min_compute_nodes", "1", "one host; more by setting"),
    Absent("compute-feature-enabled", "resize", "false", _SERVER_ACTIONS),
    Absent("compute-feature-enabled", "change_password", "false", _SERVER_ACTIONS),
    Absent("compute-feature-enabled", "pause", "false", _SERVER_ACTIONS),
    Absent("compute-feature-enabled", "suspend", "false", _SERVER_ACTIONS),
    Absent("compute-feature-enabled", "shelve", "false", _SERVER_ACTIONS),
    Absent("compute-feature-enabled", "shelve_migrate", "false", _SERVER_ACTIONS),
    Absent("compute-feature-enabled", "rescue", "false", _SERVER_ACTIONS),
    Absent("compute-feature-enabled", "stable_rescue", "false", _SERVER_ACTIONS),
    Absent("compute-feature-enabled", "snapshot", "false", _SERVER_ACTIONS),
    Absent("compute-feature-enabled", "cold_migration", "false", _SERVER_ACTIONS),
    Absent("compute-feature-enabled", "live_migration", "false", _SERVER_ACTIONS),
    Absent("compute-feature-enabled", "block_migration_for_live_migration", "false", _SERVER_ACTIONS),
    Absent("compute-feature-enabled", "personality", "false", _SERVER_ACTIONS),
    Absent("compute-feature-enabled", "vnc_console", "false", "consoles come with the rest of compute"),
    Absent("compute-feature-enabled", "spice_console", "false", "consoles come with the rest of compute"),
    Absent("compute-feature-enabled", "serial_console", "false", "consoles come with the rest of compute"),
    Absent("compute-feature-enabled", "volume_backed_live_migration", "false", _VOLUMES),
    Absent("compute-feature-enabled", "attach_encrypted_volume", "false", _VOLUMES),
    Absent("compute-feature-enabled", "swap_volume", "false", _VOLUMES),
    Absent("compute-feature-enabled", "volume_multiattach", "false", _VOLUMES),
    Absent("network-feature-enabled", "qos_min_bw_and_pps", "false", _QOS),
    Absent("network-feature-enabled", "qos_placement_physnet", "", _QOS),
)


def absent_services(offered: Iterable[str]) -> list[Absent]:
    """What the catalog does not list."""
    types = set(offered)
    return [
        Absent("service_available", name, "false", "not in the catalog")
        for name, kind in SERVICE_TYPES.items()
        if kind not in types
    ]


def present_extensions(template: str, offered: Iterable[str]) -> Absent:
    """The extensions of the network API that the template names and the cloud lists."""
    found = re.search(r"^api_extensions = (address-group,.*)$", template, re.MULTILINE)
    assert found is not None, "the template names the network's extensions"
    listed = set(offered)
    present = ",".join(name for name in found[1].split(",") if name in listed)
    return Absent(
        "network-feature-enabled", "api_extensions", present, "what the cloud lists at /v2.0/extensions"
    )


REAL = (
    Absent("validation", "run_validation", "true", "guests are real: they are pinged and logged in to"),
    Absent(
        "validation",
        "ping_timeout",
        "120",
        "a neighbour whose address moved is asked for it after up to 45 s",
    ),
)
"""The template is made for clouds whose guests do not answer."""
